package collector

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"stepaway/audit"
)

func (s *sqliteStore) Take(ctx context.Context, a Arrival) (held Held, err error) {
	err = s.submit(ctx, func(tx *sql.Tx) error {
		held, err = take(tx, a)
		return err
	})
	if err != nil {
		return Held{}, fmt.Errorf("store %d events of %s: %w", len(a.Events), a.Device, err)
	}
	return held, nil
}

// taking is one Arrival on its way into the store.
type taking struct {
	Arrival
	tx    *sql.Tx
	first uint64
	held  Held
}

func take(tx *sql.Tx, a Arrival) (Held, error) {
	t := &taking{Arrival: a, tx: tx}
	known, err := t.load()
	if err != nil || len(a.Events) == 0 {
		return t.held, err
	}
	if !t.joins(known) {
		return t.held, nil
	}
	before := t.held
	if err := t.events(); err != nil {
		return Held{}, err
	}
	if known && t.held == before {
		return t.held, nil
	}
	return t.held, t.save()
}

// load reads what is held of the epoch and reports whether anything was heard of it.
func (t *taking) load() (known bool, err error) {
	err = t.tx.QueryRow("SELECT first, last, hash FROM epochs WHERE device = ? AND epoch = ?", t.Device, t.Epoch).
		Scan(&t.first, &t.held.Last, &t.held.Hash)
	if errors.Is(err, sql.ErrNoRows) {
		t.held = Held{Hash: audit.Zero}
		return false, nil
	}
	return true, err
}

// joins reports whether the first event has a place. An epoch that was never heard of may begin anywhere:
// this store may be younger than it. A hole is passed only by this collector's own signature.
func (t *taking) joins(known bool) bool {
	e := t.Events[0]
	before := Held{Last: e.Seq - 1, Hash: e.Prev}
	switch {
	case !known && e.Seq == 1:
		t.first = 1
	case !known:
		t.first, t.held = e.Seq, before
	case e.Seq <= t.held.Last+1:
	case t.Proved == before:
		t.held = before
	default:
		return false
	}
	return true
}

func (t *taking) events() error {
	forked := false
	for _, e := range t.Events {
		continues := e.Seq <= t.held.Last || e.Prev == t.held.Hash
		forked = forked || !continues
		if forked {
			if err := t.aside(e); err != nil {
				return err
			}
			continue
		}
		same, err := t.insert(e)
		if err != nil {
			return err
		}
		if same && e.Seq > t.held.Last {
			t.held = Held{Last: e.Seq, Hash: e.Hash}
		}
		forked = !same
	}
	return nil
}

// insert stores an event that is not held yet, and reports whether it is now the one that is held. Another
// one under its number goes aside.
func (t *taking) insert(e Event) (same bool, err error) {
	r, err := t.put("INSERT OR IGNORE INTO events", e)
	if err != nil {
		return false, err
	}
	if n, err := r.RowsAffected(); n == 1 || err != nil {
		return true, err
	}
	var hash string
	err = t.tx.QueryRow("SELECT hash FROM events WHERE device = ? AND epoch = ? AND seq = ?", t.Device, t.Epoch, int64(e.Seq)).Scan(&hash)
	if err != nil || hash == e.Hash {
		return true, err
	}
	return false, t.aside(e)
}

func (t *taking) put(insert string, e Event) (sql.Result, error) {
	return t.tx.Exec(insert+" (device, epoch, seq, hash, type, wall, received, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		t.Device, t.Epoch, int64(e.Seq), e.Hash, e.Type, e.Wall.UnixMicro(), t.Received.UnixMicro(), e.Body)
}

// maxAside is how many forked events are kept of one device: enough to see what happened.
const maxAside = 10_000

func (t *taking) aside(e Event) error {
	var n int
	if err := t.tx.QueryRow("SELECT count(*) FROM conflicts WHERE device = ?", t.Device).Scan(&n); err != nil || n >= maxAside {
		return err
	}
	_, err := t.put("INSERT OR IGNORE INTO conflicts", e)
	return err
}

func (t *taking) save() error {
	now := t.Received.UnixMicro()
	_, err := t.tx.Exec(`INSERT INTO epochs (device, epoch, first, last, hash, since) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
		ON CONFLICT DO UPDATE SET last = ?4, hash = ?5`, t.Device, t.Epoch, int64(t.first), int64(t.held.Last), t.held.Hash, now)
	if err != nil {
		return err
	}
	_, err = t.tx.Exec(`INSERT INTO devices (device, enrolled, seen) VALUES (?1, ?2, ?2)
		ON CONFLICT DO UPDATE SET seen = ?2`, t.Device, now)
	return err
}
