package collector

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"stepaway/audit"
)

// Sighting is what a device showed of itself. A certificate, an epoch and a boot have their turn and never come back: what
// comes back is in another place, or was put back from an old image. Empty fields are not looked at.
type Sighting struct {
	Device      audit.Label
	Certificate string // its ID
	Epoch       string
	Boot        string
	Fork        bool   // it holds another history of the epoch than the store
	Peer        string // address
	At          time.Time
}

// Return is one thing that came back, or a fork.
type Return struct {
	What  audit.Label // certificate, epoch, boot, fork
	Value string
	After string // what had taken its place
	Peer  string // the address where that was
}

const (
	keepSightings   = 100 * 24 * time.Hour
	tellSharedEvery = time.Hour
)

// part is one kind of thing that has its turn.
type part struct {
	what  audit.Label
	value string
}

func (s Sighting) parts() (ps []part) {
	for _, p := range []part{{"certificate", s.Certificate}, {"epoch", s.Epoch}, {"boot", s.Boot}} {
		if p.value != "" {
			ps = append(ps, p)
		}
	}
	return ps
}

// See notes where a device was seen and answers what came back. It tells of one device once an hour at most.
func (s *Store) See(ctx context.Context, at Sighting) (back []Return, err error) {
	news := at.Fork
	if !news {
		err = s.engine.ask(ctx, func(x *tx) (err error) { news, err = x.anyNews(at); return err })
	}
	if err == nil && news {
		back, err = writing(ctx, s.engine, func(x *tx) ([]Return, error) { return x.see(at) })
	}
	if err != nil {
		return nil, fmt.Errorf("note where %s is: %w", at.Device, err)
	}
	return back, nil
}

// turn is whose turn it is.
type turn struct {
	value, peer string
	n           int64
	since       time.Time
}

func (x *tx) turnOf(device, what audit.Label) (t turn, err error) {
	err = x.row("SELECT value, peer, turn, since FROM sightings WHERE device = ?1 AND what = ?2 ORDER BY turn DESC LIMIT 1", device, what).
		Scan(&t.value, &t.peer, &t.n, instant{&t.since})
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return t, err
}

// anyNews reports whether something of a sighting is not what was seen last.
func (x *tx) anyNews(at Sighting) (bool, error) {
	for _, p := range at.parts() {
		if t, err := x.turnOf(at.Device, p.what); err != nil || t.value != p.value {
			return true, err
		}
	}
	return false, nil
}

func (x *tx) see(at Sighting) (back []Return, err error) {
	if _, err := x.decide(at.Device); err != nil {
		return nil, err
	}
	if at.Fork {
		back = append(back, Return{What: "fork", Value: at.Epoch})
	}
	for _, p := range at.parts() {
		r, err := x.seePart(at, p)
		if err != nil {
			return nil, err
		}
		if r != nil {
			back = append(back, *r)
		}
	}
	if len(back) == 0 {
		return nil, nil
	}
	n, err := x.exec("INSERT INTO shared (device, at) VALUES (?1, ?2) ON CONFLICT (device) DO UPDATE SET at = excluded.at WHERE shared.at <= ?3",
		at.Device, at.At, at.At.Add(-tellSharedEvery))
	if n == 0 || err != nil {
		return nil, err
	}
	return back, nil
}

// seePart gives a value its turn. One that had a turn before has come back; but a request that is older than what is
// there now only arrived late.
func (x *tx) seePart(at Sighting, p part) (*Return, error) {
	last, err := x.turnOf(at.Device, p.what)
	if err != nil || last.value == p.value || at.At.Before(last.since) {
		return nil, err
	}
	_, err = x.exec("DELETE FROM sightings WHERE device = ?1 AND what = ?2 AND since < ?3 AND value <> ?4", at.Device, p.what,
		at.At.Add(-keepSightings), last.value)
	if err != nil {
		return nil, err
	}
	n, err := x.exec("UPDATE sightings SET turn = ?1, since = ?2, peer = ?3 WHERE device = ?4 AND what = ?5 AND value = ?6",
		last.n+1, at.At, at.Peer, at.Device, p.what, p.value)
	if err != nil {
		return nil, err
	}
	if n > 0 {
		return &Return{What: p.what, Value: p.value, After: last.value, Peer: last.peer}, nil
	}
	_, err = x.exec("INSERT INTO sightings (device, what, value, turn, since, peer) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
		at.Device, p.what, p.value, last.n+1, at.At, at.Peer)
	return nil, err
}
