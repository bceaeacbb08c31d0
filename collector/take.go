package collector

import (
	"stepaway/audit"
)

// taking is one Arrival on its way into the store. What becomes of it is decided in memory, from what the store holds of
// the epoch while nobody else can change it; a transaction that is run again decides again.
type taking struct {
	Arrival
	fill  func(Held) ([]Event, error) // makes the events, of the collector's own; nil: they are there
	known bool                        // the epoch was heard of before
	first uint64                      // where the epoch begins here
	held  Held                        // before decide: what the store holds; after: what it will

	insert []Event // to be held
	aside  []Event // forks
	hole   *Hole   // passed on this collector's own word
	moved  bool    // the epoch's row has to be written
	err    error   // of this arrival alone
}

// shelf is one transaction, as taking needs it.
type shelf interface {
	// heads locks the epochs, each of which is there once, until the transaction ends, and fills in known, first and held.
	heads([]*taking) error
	// stored answers the hashes of those events of t that are held, and removed for those that a rule removed.
	stored(t *taking) (map[uint64]string, error)
	// put writes what was decided.
	put([]*taking) error
}

// removed stands for the hash of an event that was held for as long as it had to be.
const removed = "removed"

// takeAll takes arrivals in one transaction. Events beyond the head of an epoch are looked for only where look says so;
// otherwise put fails on them.
func takeAll(s shelf, ts []*taking, look bool) error {
	for len(ts) > 0 {
		var round []*taking
		round, ts = distinct(ts)
		if err := takeRound(s, round, look); err != nil {
			return err
		}
	}
	return nil
}

// distinct parts the arrivals into those of different epochs and the rest, which come after.
func distinct(ts []*taking) (round, rest []*taking) {
	seen := map[[2]string]bool{}
	for _, t := range ts {
		name := [2]string{string(t.Device), t.Epoch}
		if seen[name] {
			rest = append(rest, t)
			continue
		}
		seen[name] = true
		round = append(round, t)
	}
	return round, rest
}

func takeRound(s shelf, ts []*taking, look bool) error {
	if err := s.heads(ts); err != nil {
		return err
	}
	for _, t := range ts {
		if err := t.filled(); err != nil {
			return err
		}
		var stored map[uint64]string
		if look || t.known && t.Events[0].Seq <= t.held.Last {
			var err error
			if stored, err = s.stored(t); err != nil {
				return err
			}
		}
		t.decide(stored)
	}
	return s.put(ts)
}

// filled makes the events that depend on what is held.
func (t *taking) filled() (err error) {
	if t.fill == nil {
		return nil
	}
	if !t.known {
		t.held = Held{Hash: audit.Zero}
	}
	t.Events, err = t.fill(t.held)
	return err
}

// decide says what becomes of each event: one that is held already is nothing new, one that continues what is held is
// held, and another one under the same number, or one that continues something else, goes aside with all after it.
func (t *taking) decide(stored map[uint64]string) {
	before := t.held
	t.insert, t.aside, t.hole = nil, nil, nil
	if t.moved = !t.known; !t.joins() {
		return
	}
	for i, e := range t.Events {
		hash, there := stored[e.Seq]
		continues := e.Seq <= t.held.Last || e.Prev == t.held.Hash
		if !continues || there && hash != e.Hash && hash != removed {
			t.aside = t.Events[i:]
			break
		}
		if !there {
			t.insert = append(t.insert, e)
		}
		if e.Seq > t.held.Last {
			t.held = Held{Last: e.Seq, Hash: e.Hash}
		}
	}
	t.moved = t.moved || t.held != before
}

// joins reports whether the first event has a place. An epoch that was never heard of may begin anywhere:
// this store may be younger than it. A hole is passed only by this collector's own signature.
func (t *taking) joins() bool {
	e := t.Events[0]
	before := Held{Last: e.Seq - 1, Hash: e.Prev}
	switch {
	case !t.known && e.Seq == 1:
		t.first, t.held = 1, Held{Hash: audit.Zero}
		return true
	case !t.known:
		t.first, t.held = e.Seq, Held{}
	case e.Seq <= t.held.Last+1:
		return true
	case t.Proved != before:
		return false
	}
	if t.Proved == before {
		t.hole = &Hole{Device: t.Device, Epoch: t.Epoch, First: t.held.Last + 1, Last: before.Last, Noticed: t.Received}
	}
	t.held = before
	return true
}

// maxAside is how many forked events are kept of one device: enough to see what happened.
const maxAside = 10_000
