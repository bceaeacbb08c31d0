package spool

import (
	"fmt"

	"stepaway/audit"
)

// begin continues the epoch in the file, or starts one: in a new file, in the place of a bad one, and when
// the file is older than what is known to have been acknowledged.
func (x *txn) begin(r *Report, found Found, known ackFile) error {
	if x.o.Keep {
		x.o.Bound, x.o.Device = x.st.Bound, x.st.Device
	}
	if r.Code != "" {
		return x.replace(r, found, known)
	}
	if x.st.Epoch == "" {
		x.newEpoch()
		if known.Epoch == "" {
			return nil
		}
		x.st.Previous = known.Epoch
		r.Code, r.Before = "missing", known.Epoch
		x.st.Adopt = true
		return x.put(x.own(audit.SpoolRollback, audit.Facts{Ref: audit.MakeLabel(known.Epoch), From: known.Last + 1,
			To: known.Head, Code: "missing"}))
	}
	if !x.older(known) {
		return x.carryOn(r)
	}
	r.Code, r.Before = "older", x.st.Epoch
	if known.Epoch != x.st.Epoch {
		known.Last, known.Head = 0, 0
	}
	after := max(x.st.Acked, known.Last)
	x.st.Adopt = true
	return x.rollback("older", after, known.Head)
}

// carryOn continues the epoch, unless device or collector is another than before: neither could make sense
// of the rest of a chain. Where no collector has seen any of it, nothing needs to be told.
func (x *txn) carryOn(r *Report) error {
	switch {
	case x.st.Bound == x.o.Bound:
		x.settleSinks()
		_, err := x.free()
		return err
	case x.st.Acked == 0:
		return x.renumber()
	}
	r.Code, r.Before = "enrolled", x.st.Epoch
	return x.rollback("enrolled", x.st.Acked, 0)
}

// renumber carries every event over to an epoch for another collector. A sink goes on where it was.
func (x *txn) renumber() error {
	before := x.st.Sinks
	kept, err := x.takeOut(x.st.Freed)
	if err != nil {
		return err
	}
	x.newEpoch()
	for name := range x.st.Sinks {
		had := 0
		for had < len(kept) && kept[had].Seq <= before[name] {
			had++
		}
		x.st.Sinks[name] = uint64(had)
	}
	return x.putAll(kept)
}

// older reports whether the file is a copy from before what is known.
func (x *txn) older(known ackFile) bool {
	switch known.Epoch {
	case "", x.st.Previous: // nothing known, or stopped between a new epoch and the note of it
		return false
	case x.st.Epoch:
		return known.Last > x.st.Acked || known.Head > x.st.Head
	}
	return true
}

// replace starts the epoch after that of a file that was set aside.
func (x *txn) replace(r *Report, found Found, known ackFile) error {
	x.newEpoch()
	x.st.Previous, x.st.Adopt = r.Before, true
	f := audit.Facts{Ref: audit.MakeLabel(r.Before), Code: audit.MakeLabel(r.Code)}
	f.From, f.To = max(found.Acked, known.Last)+1, max(found.Head, known.Head)
	if f.To < f.From {
		f.From, f.To = 0, 0
	} else {
		f.Count = int64(f.To - f.From + 1)
	}
	return x.put(x.own(audit.SpoolQuarantined, f))
}

// rollback ends the epoch, which is known to have got to the number head if not further, and carries the events after a
// number over to the next one.
func (x *txn) rollback(code audit.Label, after, head uint64) error {
	kept, err := x.takeOut(after)
	if err != nil {
		return err
	}
	f := audit.Facts{Ref: audit.MakeLabel(x.st.Epoch), From: after + 1, To: max(x.st.Head, head), Count: int64(len(kept)), Code: code}
	missed := x.missing(after)
	x.newEpoch()
	if err := x.put(x.own(audit.SpoolRollback, f)); err != nil {
		return err
	}
	if err := x.putAll(missed); err != nil {
		return err
	}
	return x.putAll(kept)
}

func (x *txn) putAll(kept []audit.Event) error {
	for _, e := range kept {
		if err := x.put(e); err != nil {
			return err
		}
	}
	return nil
}

// takeOut removes every event and answers those after a number.
func (x *txn) takeOut(after uint64) ([]audit.Event, error) {
	var kept []audit.Event
	c := x.events.Cursor()
	for k, body := c.Seek(key(after + 1)); k != nil; k, body = c.Next() {
		e, err := audit.Decode(body)
		if err != nil {
			return nil, fmt.Errorf("%w: %v", ErrDamaged, err)
		}
		kept = append(kept, e)
	}
	if err := x.tx.DeleteBucket(eventBucket); err != nil {
		return nil, fmt.Errorf("empty the spool: %w", err)
	}
	b, err := x.tx.CreateBucket(eventBucket)
	if err != nil {
		return nil, fmt.Errorf("empty the spool: %w", err)
	}
	b.FillPercent = 0.95
	x.events = b
	return kept, nil
}
