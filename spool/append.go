package spool

import (
	"encoding/binary"
	"fmt"

	"stepaway/audit"
)

// step is what becomes of one event of a batch.
type step struct {
	event   audit.Event
	dropped bool   // counted instead of written
	run     string // origin to move to n afterwards, or empty
	n       uint64
}

// append plans the whole batch before it writes any of it, so that a refused batch leaves no trace.
func (x *txn) append(events []audit.Event) (first, last uint64, err error) {
	steps, err := x.plan(events)
	if err != nil {
		return 0, 0, err
	}
	for _, s := range steps {
		if err := x.take(s); err != nil {
			return 0, 0, err
		}
		if s.event.V == 0 || s.dropped {
			continue
		}
		if last = x.st.Head; first == 0 {
			first = last
		}
	}
	return first, last, nil
}

func (x *txn) take(s step) error {
	if s.run != "" {
		if err := x.setOrigin(s.run, s.n); err != nil {
			return err
		}
	}
	switch {
	case s.dropped:
		x.drop(s.run, s.n)
		return nil
	case s.event.V == 0:
		return nil
	}
	return x.put(s.event)
}

// planning is the state of a plan: what the transaction would come to.
type planning struct {
	*txn
	steps []step
	seen  map[string]uint64 // origins as the steps would leave them
	room  int64
	adopt bool
}

func (x *txn) plan(events []audit.Event) ([]step, error) {
	p := &planning{txn: x, seen: map[string]uint64{}, room: x.room, adopt: x.st.Adopt}
	for _, e := range events {
		if err := p.event(e); err != nil {
			return nil, err
		}
	}
	x.st.Adopt = p.adopt
	return p.steps, nil
}

func (p *planning) event(e audit.Event) error {
	if e.Run == "" || len(e.Run) > 64 {
		return p.add(step{event: sound(e, p.txn)})
	}
	had := p.origin(e.Run)
	if e.N <= had {
		return nil
	}
	if had == 0 && e.N > 1 && p.adopt {
		p.adopt, had = false, e.N-1
	}
	if e.N > had+1 {
		if err := p.gap(e.Run, had+1, e.N-1); err != nil {
			return err
		}
	}
	if err := p.recovered(e); err != nil {
		return err
	}
	p.seen[e.Run] = e.N
	return p.add(step{event: sound(e, p.txn), run: e.Run, n: e.N})
}

// recovered looks for the end of the run before, which a run that follows a crash knows of.
func (p *planning) recovered(e audit.Event) error {
	if e.Type != audit.AgentRecovered || e.Facts == nil || e.Facts.Ref == "" || p.adopt {
		return nil
	}
	run := string(e.Facts.Ref)
	had := p.origin(run)
	if e.Facts.To <= had {
		return nil
	}
	p.seen[run] = e.Facts.To
	p.steps = append(p.steps, step{run: run, n: e.Facts.To})
	return p.gap(run, had+1, e.Facts.To)
}

func (p *planning) gap(run string, from, to uint64) error {
	return p.add(step{event: p.own(audit.SpoolGap, audit.Facts{Ref: audit.MakeLabel(run), From: from, To: to,
		Count: int64(to - from + 1), Code: "lost"})})
}

// add makes room for the step, or says that there is none.
func (p *planning) add(s step) error {
	need := estimate
	switch {
	case p.room-need > p.o.MaxBytes/4:
	case !audit.Critical(s.event.Type) && s.run != "":
		s.dropped, need = true, 0
	case p.room-need > p.o.MaxBytes/16:
	default:
		return fmt.Errorf("%w: no room for %s", ErrFull, s.event.Type)
	}
	p.room -= need
	p.steps = append(p.steps, s)
	return nil
}

// estimate is the room that an event is given before its size is known; cost is what it took.
const estimate = int64(1 << 10)

func cost(body []byte) int64 { return int64(len(body)) * 5 / 4 }

// sound answers e, or in its place the event that says that it cannot be stored. Whether it can be encoded shows when it is.
func sound(e audit.Event, x *txn) audit.Event {
	if x.finish(e).Check() == nil {
		return e
	}
	return x.malformed(e)
}

func (x *txn) malformed(e audit.Event) audit.Event {
	return x.own(audit.SpoolGap, audit.Facts{Ref: audit.MakeLabel(e.Run), From: e.N, To: e.N, Count: 1, Code: "malformed"})
}

// origin is the highest number of a run that is stored.
func (p *planning) origin(run string) uint64 {
	if n, ok := p.seen[run]; ok {
		return n
	}
	if v := p.origins.Get([]byte(run)); len(v) == 16 {
		return binary.BigEndian.Uint64(v)
	}
	return 0
}

// maxOrigins is how many runs are remembered; the one heard of longest ago goes first.
const maxOrigins = 64

// setOrigin remembers n as the highest number of run, and that it was heard of last.
func (x *txn) setOrigin(run string, n uint64) error {
	if x.st.Heard == 0 {
		if err := x.hear(); err != nil {
			return err
		}
	}
	x.st.Heard++
	known := x.origins.Get([]byte(run)) != nil
	v := binary.BigEndian.AppendUint64(key(n), x.st.Heard)
	if err := x.origins.Put([]byte(run), v); err != nil {
		return fmt.Errorf("remember run %s: %w", run, err)
	}
	x.dirty = true
	if known {
		return nil
	}
	return x.forgetOrigin()
}

// hear begins to count after whatever a file written before there was a count has noted.
func (x *txn) hear() error {
	return x.origins.ForEach(func(_, v []byte) error {
		x.st.Heard = max(x.st.Heard, binary.BigEndian.Uint64(v[8:]))
		return nil
	})
}

func (x *txn) forgetOrigin() error {
	var oldest []byte
	count, least := 0, uint64(1<<63)
	err := x.origins.ForEach(func(k, v []byte) error {
		count++
		if at := binary.BigEndian.Uint64(v[8:]); at < least {
			oldest, least = append([]byte(nil), k...), at
		}
		return nil
	})
	if err != nil || count <= maxOrigins {
		return err
	}
	return x.origins.Delete(oldest)
}
