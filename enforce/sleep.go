package enforce

import (
	"time"

	"stepaway/audit"
	"stepaway/deadline"
)

// Sleep is one word of the power manager: the machine is about to sleep, or is back.
type Sleep struct {
	Going bool
	Ready func() // lets the machine sleep; may be called more than once, never blocks
}

// sleepHeld is how long sleep is held up at most. logind waits 5 s by default; a little less, so that what is written
// still is.
const sleepHeld = 4500 * time.Millisecond

// takeSleep locks every desktop before the machine sleeps. Terminals cannot be locked, and are not ended for a closed lid:
// their deadline runs on while the machine sleeps.
func (e *Enforcer) takeSleep(s Sleep) {
	e.awake()
	if !s.Going {
		return
	}
	now := e.o.Clock.Now()
	e.record(audit.Event{Type: audit.PowerSuspend})
	e.ready, e.sleepBy = s.Ready, now+sleepHeld
	for _, g := range e.guards {
		if g.s.Kind.Graphical() && !e.securedOrLate(g) {
			g.reason, g.lockOnly = audit.Policy, true
			g.m.Shorten(now, now)
		}
	}
}

// awake lets the machine sleep, or forgets that it was about to.
func (e *Enforcer) awake() {
	if e.ready != nil {
		e.ready()
		e.ready = nil
	}
}

// holdSleep lets the machine sleep once every desktop is secured or the time is over. It answers when to look again.
func (e *Enforcer) holdSleep(now Instant) Instant {
	if e.ready == nil {
		return deadline.Never
	}
	for _, g := range e.guards {
		if g.s.Kind.Graphical() && g.m.State() != deadline.Secured && now < e.sleepBy {
			return e.sleepBy
		}
	}
	e.awake()
	return deadline.Never
}
