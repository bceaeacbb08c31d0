package spool

import (
	"fmt"
	"maps"
	"slices"

	bolt "go.etcd.io/bbolt"

	"stepaway/audit"
)

// NextFor answers the events that a sink has not got, as Next does, and the epoch that they are of.
func (s *Spool) NextFor(sink string, max, maxBytes int) (rs []audit.Record, epoch string, err error) {
	told := s.State()
	err = s.view(func(tx *bolt.Tx) (err error) {
		x := &txn{meta: tx.Bucket(metaBucket)}
		if err := x.read(); err != nil {
			return err
		}
		epoch = x.st.Epoch
		rs, err = next(tx, told, x.st.Sinks[sink], max, maxBytes)
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("read the spool for sink %s: %w", sink, err)
	}
	return rs, epoch, nil
}

// Passed says that a sink, one of Options.Sinks, has every event of an epoch up to last. An event leaves the spool when the
// collector, if there is one, and every sink have it. Of an epoch that has ended nothing is noted.
func (s *Spool) Passed(sink, epoch string, last uint64) error {
	more := false
	step := func(x *txn) (err error) {
		if x.st.Epoch != epoch {
			return nil
		}
		if err := x.passed(sink, last); err != nil {
			return err
		}
		more, err = x.free()
		return err
	}
	for again := true; again; again = more {
		if err := s.submit(step); err != nil {
			return fmt.Errorf("note that sink %s has events up to %d: %w", sink, last, err)
		}
	}
	if err := s.writeAck(); err != nil {
		return err
	}
	return s.compact()
}

func (x *txn) passed(sink string, last uint64) error {
	had, known := x.st.Sinks[sink]
	switch {
	case !known:
		return fmt.Errorf("%w: no sink of that name", ErrAck)
	case last > x.st.Head:
		return fmt.Errorf("%w: the last one written is %d", ErrAck, x.st.Head)
	case last > had:
		x.moveSink(sink, last)
	}
	return nil
}

// moveSink leaves the map alone that State has given out.
func (x *txn) moveSink(sink string, to uint64) {
	x.st.Sinks = maps.Clone(x.st.Sinks)
	x.st.Sinks[sink] = to
	x.dirty = true
}

// settleSinks drops the positions of sinks that are no more; a new one begins with what is still there.
func (x *txn) settleSinks() {
	now := map[string]uint64{}
	for _, name := range x.sinks() {
		now[name] = max(x.st.Sinks[name], x.st.Freed)
	}
	if !maps.Equal(now, x.st.Sinks) {
		x.st.Sinks, x.dirty = now, true
	}
}

// sinks are those of the options, or those of the file where they are not known.
func (x *txn) sinks() []string {
	if x.o.KeepSinks {
		return slices.Sorted(maps.Keys(x.st.Sinks))
	}
	return x.o.Sinks
}

// everyoneHas is the last number that nobody waits for. Where no collector is known and none has acknowledged anything,
// the sinks alone decide.
func (x *txn) everyoneHas() uint64 {
	to := x.st.Acked
	if len(x.st.Sinks) > 0 && x.o.Bound == "" && x.st.Acked == 0 {
		to = x.st.Head
	}
	for _, had := range x.st.Sinks {
		to = min(to, had)
	}
	return to
}

// someoneHas is the last number that the collector has, or without one the sink that is farthest.
func (x *txn) someoneHas() uint64 {
	to := x.st.Acked
	if x.o.Bound == "" && to == 0 {
		for _, had := range x.st.Sinks {
			to = max(to, had)
		}
	}
	return to
}

// free moves the freed position to what everyone has and deletes up to ackStep events; more says that some remain.
func (x *txn) free() (more bool, err error) {
	if err := x.freeTo(x.everyoneHas()); err != nil {
		return false, err
	}
	n, err := x.deleteTo(x.st.Freed, ackStep)
	return n == ackStep, err
}

func (x *txn) freeTo(to uint64) error {
	if to <= x.st.Freed {
		return nil
	}
	hash := x.st.AckedHash
	if to != x.st.Acked {
		body := x.events.Get(key(to))
		if body == nil {
			return fmt.Errorf("%w: event %d is missing", ErrDamaged, to)
		}
		hash = audit.Hash(body)
	}
	x.st.Freed, x.st.FreedHash, x.dirty = to, hash, true
	return nil
}

// makeRoom gives up, oldest first, what waits for a slow sink alone, before anything new is refused for want of room. What
// a sink so misses is counted and told in the chain.
func (x *txn) makeRoom() error {
	if x.room > x.o.MaxBytes/4+x.o.MaxBytes/8 || x.st.Freed >= x.someoneHas() {
		return nil
	}
	to := min(x.someoneHas(), x.st.Freed+ackStep)
	if err := x.freeTo(to); err != nil {
		return err
	}
	if err := x.miss(to, "room"); err != nil {
		return err
	}
	_, err := x.deleteTo(to, ackStep)
	return err
}

// miss tells, for each sink that has not got everything up to a number, that it never will.
func (x *txn) miss(to uint64, why audit.Label) error {
	for _, name := range x.sinks() {
		had := x.st.Sinks[name]
		if had >= to {
			continue
		}
		x.moveSink(name, to)
		if err := x.put(x.missed(name, had+1, to, why)); err != nil {
			return err
		}
	}
	return nil
}

// missing answers the events that tell what each sink has not got of an epoch that ends, up to a number.
func (x *txn) missing(to uint64) (es []audit.Event) {
	for _, name := range x.sinks() {
		if had, known := x.st.Sinks[name]; known && had < to {
			es = append(es, x.missed(name, had+1, to, "epoch"))
		}
	}
	return es
}

// missed counts events that a sink will never have, and makes the event that says so.
func (x *txn) missed(sink string, from, to uint64, why audit.Label) audit.Event {
	n := int64(to - from + 1)
	all := maps.Clone(x.st.Missed)
	if all == nil {
		all = map[string]int64{}
	}
	all[sink] += n
	x.st.Missed = all
	e := x.own(audit.SpoolGap, audit.Facts{Source: audit.MakeLabel(sink), Ref: audit.MakeLabel(x.st.Epoch), From: from, To: to,
		Count: n, Code: why})
	e.Outcome = audit.Failure
	return e
}
