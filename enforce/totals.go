package enforce

import (
	"maps"
	"slices"
	"time"

	"stepaway/audit"
	"stepaway/deadline"
	"stepaway/link"
)

// The status is published once a minute where there is news, and else as rarely as the sessions are read.
const (
	publishEvery = time.Minute
	stillEvery   = snapshotEvery
)

// publish publishes the status when it is due, and says when the next one is.
func (e *Enforcer) publish(now Instant) Instant {
	pause := stillEvery
	if e.news {
		pause = publishEvery
	}
	switch {
	case e.o.Publish == nil:
		return deadline.Never
	case e.told != 0 && now < e.told+pause:
		return e.told + pause
	}
	e.told, e.news = now, false
	e.o.Publish(e.status(link.Peer{Root: true}))
	return now + stillEvery
}

// totals count what was recorded since the start.
type totals struct{ link.Totals }

func (t *totals) count(ev audit.Event) {
	if t.Events == nil {
		t.Events, t.Late = map[audit.Type]uint64{}, make([]uint64, len(link.LateBounds)+1)
	}
	t.Events[ev.Type]++
	if ev.Type != audit.LockProved && ev.Type != audit.SignoutDone || ev.Facts == nil {
		return
	}
	t.LastLockMS = ev.BootMS
	rung, proof := string(ev.Facts.Rung), string(ev.Facts.Proof)
	at := slices.IndexFunc(t.Locks, func(l link.LockTotal) bool { return l.Rung == rung && l.Proof == proof })
	if at < 0 {
		at, t.Locks = len(t.Locks), append(t.Locks, link.LockTotal{Rung: rung, Proof: proof})
	}
	t.Locks[at].N++
	if late := ev.Facts.LateMS; late != nil {
		t.late(*late)
	}
}

// late counts a lock by how long after its deadline it was proved.
func (t *totals) late(ms int64) {
	at := slices.IndexFunc(link.LateBounds, func(b time.Duration) bool { return ms <= b.Milliseconds() })
	if at < 0 {
		at = len(link.LateBounds)
	}
	t.Late[at]++
	t.LateSumMS += ms
	t.LateMaxMS = max(t.LateMaxMS, ms)
}

// copy is for who reads it on another goroutine.
func (t *totals) copy() *link.Totals {
	c := t.Totals
	c.Events, c.Locks, c.Late = maps.Clone(c.Events), slices.Clone(c.Locks), slices.Clone(c.Late)
	return &c
}
