package spool

import "stepaway/audit"

// drop counts events of one run that were not written for want of room.
type drop struct {
	Run      string
	From, To uint64
	Count    int64
}

// told is the state as others see it.
func (st *stored) told() State {
	s := st.State
	s.Dropped = 0
	for _, d := range st.Drops {
		s.Dropped += d.Count
	}
	return s
}

func (x *txn) drop(run string, n uint64) {
	x.dirty = true
	for i := range x.st.Drops {
		if d := &x.st.Drops[i]; d.Run == run {
			d.To = n
			d.Count++
			return
		}
	}
	x.st.Drops = append(x.st.Drops, drop{Run: run, From: n, To: n, Count: 1})
}

// tellDrops writes one spool.full event for each run that lost events, once there is room again.
func (x *txn) tellDrops() error {
	if len(x.st.Drops) == 0 || x.room <= x.o.MaxBytes/4+x.o.MaxBytes/16 {
		return nil
	}
	for _, d := range x.st.Drops {
		e := x.own(audit.SpoolFull, audit.Facts{Ref: audit.MakeLabel(d.Run), From: d.From, To: d.To, Count: d.Count})
		if err := x.put(e); err != nil {
			return err
		}
	}
	x.st.Drops = nil
	return nil
}
