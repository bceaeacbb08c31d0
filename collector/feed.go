package collector

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"stepaway/audit"
)

// Feed is the store as the source of one sink: every event that is held, of each epoch in order, and how far the sink is in
// each. Of several collectors on one store one at a time serves a sink; where it ends, another takes over. Its methods are
// called by one goroutine.
type Feed struct {
	store  *Store
	sink   string
	holder string
	fresh  bool
	now    func() time.Time

	until time.Time   // our turn lasts at least till then
	after audit.Label // the device that came last, so that none is passed over for long
	given []move      // what Got is to note for what Next answered last
}

// move is how far a sink gets in one epoch.
type move struct {
	device   audit.Label
	epoch    string
	from, to uint64
	events   int
}

// served is how long one collector serves a sink without renewing that.
const served = 2 * time.Minute

// Feed makes the source of a sink for a holder, whose name is that of one collector process and the same after it was started
// again. A sink that the store has never heard of begins with everything that is held, or, if it
// is fresh, with what comes from now on.
func (s *Store) Feed(sink, holder string, fresh bool) *Feed {
	return &Feed{store: s, sink: sink, holder: holder, fresh: fresh, now: time.Now}
}

// Next answers events that the sink has not got; none while another collector serves it.
func (f *Feed) Next(ctx context.Context, most int) ([]audit.Record, error) {
	for {
		ours, err := f.take(ctx)
		if err != nil || !ours {
			return nil, f.wrong(err)
		}
		rs, err := f.read(ctx, most)
		if err != nil || len(rs) > 0 || len(f.given) == 0 {
			return rs, f.wrong(err)
		}
		if err := f.Got(ctx, nil); err != nil { // everything due had been removed
			return nil, err
		}
	}
}

func (f *Feed) wrong(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("feed sink %s: %w", f.sink, err)
}

// take takes or renews our turn.
func (f *Feed) take(ctx context.Context) (ours bool, err error) {
	now := f.now()
	if now.Before(f.until.Add(-served / 2)) {
		return true, nil
	}
	ours, err = writing(ctx, f.store.engine, func(x *tx) (bool, error) {
		if err := f.begin(x); err != nil {
			return false, err
		}
		n, err := x.exec("UPDATE turns SET holder = ?2, until = ?3 WHERE sink = ?1 AND (holder = ?2 OR until < ?4)", f.sink, f.holder, now.Add(served), now)
		return n == 1, err
	})
	if err == nil && ours {
		f.until = now.Add(served)
	}
	return ours, err
}

// begin makes the sink known.
func (f *Feed) begin(x *tx) error {
	n, err := x.exec("INSERT INTO turns (sink, holder, until, missed) VALUES (?1, ?2, ?3, 0) ON CONFLICT (sink) DO NOTHING", f.sink, f.holder, f.now())
	if err != nil || n == 0 || !f.fresh {
		return err
	}
	_, err = x.exec("INSERT INTO positions (sink, device, epoch, seq) SELECT ?1, device, epoch, last FROM epochs WHERE true ON CONFLICT DO NOTHING", f.sink)
	return err
}

// read looks at devices from the one after the last on, and from the first when there are no more.
func (f *Feed) read(ctx context.Context, most int) (rs []audit.Record, err error) {
	f.given = nil
	for range 2 {
		err = f.store.engine.read(ctx, func(x *tx) error {
			rs = nil
			due, err := f.due(x, most)
			for i := 0; err == nil && i < len(due) && len(rs) < most; i++ {
				rs, err = f.events(x, due[i], rs, most)
			}
			return err
		})
		if err != nil || len(f.given) > 0 || f.after == "" {
			break
		}
		f.after = ""
	}
	if n := len(f.given); n > 0 {
		f.after = f.given[n-1].device
	}
	return rs, err
}

// due lists epochs of which the sink has not got everything.
func (f *Feed) due(x *tx, most int) (due []move, err error) {
	f.given = nil
	err = x.each(func(rows *sql.Rows) error {
		var m move
		err := rows.Scan(&m.device, &m.epoch, &m.to, &m.from)
		due = append(due, m)
		return err
	}, `SELECT e.device, e.epoch, e.last, coalesce(p.seq, e.first - 1) FROM epochs e
		LEFT JOIN positions p ON p.sink = ?1 AND p.device = e.device AND p.epoch = e.epoch
		WHERE e.last > coalesce(p.seq, e.first - 1) AND e.device > ?2 ORDER BY e.device, e.since, e.epoch LIMIT ?3`, f.sink, f.after, most)
	return due, err
}

// events reads those of one epoch as far as there is room.
func (f *Feed) events(x *tx, m move, rs []audit.Record, most int) ([]audit.Record, error) {
	had := len(rs)
	err := x.each(func(rows *sql.Rows) error {
		var r audit.Record
		err := rows.Scan(&r.Seq, &r.Hash, &r.Body)
		rs = append(rs, r)
		return err
	}, "SELECT seq, hash, body FROM events WHERE device = ?1 AND epoch = ?2 AND seq > ?3 AND seq <= ?4 ORDER BY seq LIMIT ?5",
		m.device, m.epoch, m.from, m.to, most-had)
	if m.events = len(rs) - had; len(rs) == most {
		m.to = rs[most-1].Seq
	}
	f.given = append(f.given, m)
	return rs, err
}

// errTurn is the error of a sink that another collector has taken over.
var errTurn = errors.New("another collector serves this sink now")

// Got notes what Next answered last as handed over.
func (f *Feed) Got(ctx context.Context, _ []audit.Record) error {
	now := f.now()
	err := f.store.engine.write(ctx, func(x *tx) error {
		missed := uint64(0)
		for _, m := range f.given {
			missed += m.to - m.from - uint64(m.events)
			_, err := x.exec(`INSERT INTO positions (sink, device, epoch, seq) VALUES (?1, ?2, ?3, ?4)
				ON CONFLICT (sink, device, epoch) DO UPDATE SET seq = ?4`, f.sink, m.device, m.epoch, m.to)
			if err != nil {
				return err
			}
		}
		n, err := x.exec("UPDATE turns SET until = ?3, missed = missed + ?4 WHERE sink = ?1 AND holder = ?2", f.sink, f.holder, now.Add(served), missed)
		if err == nil && n == 0 {
			err = errTurn
		}
		return err
	})
	if err == nil {
		f.until, f.given = now.Add(served), nil
	} else {
		f.until = time.Time{}
	}
	return f.wrong(err)
}

// Fed is how far a sink is.
type Fed struct {
	Sink    string    `json:"name"`
	Waiting uint64    `json:"waiting"`         // events held and not yet handed over
	Missed  uint64    `json:"missed"`          // removed, or never here, before they were handed over
	Served  time.Time `json:"served,omitzero"` // until when a collector serves it, unless it says so again
}

// Fed answers how far each sink is that the store has heard of.
func (v *View) Fed() (fs []Fed, err error) {
	err = v.each(func(rows *sql.Rows) error {
		var f Fed
		err := rows.Scan(&f.Sink, &f.Missed, instant{&f.Served})
		fs = append(fs, f)
		return err
	}, "SELECT sink, missed, until FROM turns ORDER BY sink")
	for i := 0; err == nil && i < len(fs); i++ {
		err = v.each(func(rows *sql.Rows) error { return rows.Scan(&fs[i].Waiting) },
			`SELECT CAST(coalesce(sum(e.last - coalesce(p.seq, e.first - 1)), 0) AS bigint) FROM epochs e
			LEFT JOIN positions p ON p.sink = ?1 AND p.device = e.device AND p.epoch = e.epoch
			WHERE e.last > coalesce(p.seq, e.first - 1)`, fs[i].Sink)
	}
	return fs, err
}
