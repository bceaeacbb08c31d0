// Package deadline decides when one session is warned and when it must be secured.
//
// Failure rules: what is not known is strict. A machine without input runs to its deadline; input that
// is reported late, after the deadline has passed, calls nothing off; no call but Input and Unlocked moves
// a deadline later, and SetLimits only as far as the new limit allows. The package is pure: facts go in by
// method, Advance alone decides, Next says when to look again.
package deadline

import (
	"slices"
	"time"
)

// Instant is a time since boot that counts sleep (CLOCK_BOOTTIME, interrupt time).
type Instant = time.Duration

// Never is an instant that does not come.
const Never Instant = 1<<63 - 1

// Limits of one session. All are durations of the same clock.
type Limits struct {
	Idle   time.Duration   // without input this long: must be secured
	Warn   time.Duration   // warned this long before; at most half of Idle is used
	Retry  time.Duration   // between attempts while expired; 0 means a second
	Stages []time.Duration // secured this long without return: Stage 1, 2, ... are due; ascending
}

// State of a session.
type State uint8

const (
	Active  State = iota
	Warned        // the warning is due or showing
	Expired       // the deadline passed; not yet known to be secured
	Secured
)

func (s State) String() string {
	return [...]string{"active", "warned", "expired", "secured"}[s&3]
}

// Transition is one decision.
type Transition struct {
	From, To State
	At       Instant // when it was due; Advance may be called later
	Attempt  int     // 1.. for To == Expired: how many times securing was tried for this deadline
	Stage    int     // 1.. for From == To == Secured: which stage is due
}

// Machine holds one session's deadline. The zero value is not usable; it is not safe for concurrent use.
type Machine struct {
	limits  Limits
	state   State
	input   Instant // last believed input
	nearer  Instant // set by Shorten, Never if not
	asked   Instant // when Shorten was called
	due     Instant // when the deadline was, while Expired or Secured
	retry   Instant // next attempt, while Expired
	attempt int
	secured Instant // when it was secured
	open    bool    // secured with an open desktop: input is return
	stage   int     // stages already told
	redo    Instant // a stage that was told again is not due before this
}

// New starts a machine whose last input was at the given instant. An instant in the past that lies longer
// ago than the limit gives a deadline that has already passed.
func New(input Instant, l Limits) *Machine {
	return &Machine{limits: l, input: input, nearer: Never}
}

// State is the last state that Advance, SetSecured or Unlocked gave.
func (m *Machine) State() State { return m.state }

// LastInput is the last believed input.
func (m *Machine) LastInput() Instant { return m.input }

// Deadline is when the session must be secured or, once it expired, when it had to be.
func (m *Machine) Deadline() Instant {
	if m.state == Expired || m.state == Secured {
		return m.due
	}
	return min(add(m.input, m.limits.Idle), m.nearer)
}

// WarnAt is when the warning for the current deadline begins.
func (m *Machine) WarnAt() Instant {
	return m.Deadline() - min(max(m.limits.Warn, 0), m.limits.Idle/2)
}

// SetLimits takes new limits. They hold from the last input on, and at once; what has expired stays so.
// Where the stages are others, those that lie no later than the last one told count as told.
func (m *Machine) SetLimits(l Limits) {
	if m.stage > 0 && m.stage <= len(m.limits.Stages) && !slices.Equal(l.Stages, m.limits.Stages) {
		told := m.limits.Stages[m.stage-1]
		m.stage = 0
		for m.stage < len(l.Stages) && l.Stages[m.stage] <= told {
			m.stage++
		}
	}
	m.limits = l
}

// Input tells of believed input. It never moves back, and input from after the deadline is not believed to
// have kept the session open. In an expired session it changes nothing; in a secured one only if the
// desktop was left open.
func (m *Machine) Input(at Instant) {
	if at <= m.input {
		return
	}
	switch m.state {
	case Active, Warned:
		if at < m.Deadline() {
			m.input = at
			if at > m.asked {
				m.nearer = Never
			}
		}
	case Secured:
		if m.open && at > m.secured {
			m.Unlocked(at)
		}
	}
}

// Shorten, called at now, brings the deadline to the given instant if that is nearer. Input from after now sets
// it back to the limit; the click that asked for it, reported late, does not.
func (m *Machine) Shorten(now, to Instant) {
	m.nearer, m.asked = min(m.nearer, to), now
}

// SetSecured says that the session was proved to be secured at now. open: its desktop is still in reach
// (only clients were closed), so the next input starts a new limit.
func (m *Machine) SetSecured(now Instant, open bool) {
	m.due = m.Deadline()
	m.state, m.secured, m.open, m.stage, m.redo, m.attempt = Secured, now, open, 0, 0, 0
}

// Redo says that the stage told last was not carried out: it is due again at the given instant.
func (m *Machine) Redo(at Instant) {
	if m.state == Secured && m.stage > 0 {
		m.stage, m.redo = m.stage-1, at
	}
}

// Lost says that a secured session is secured no more although nobody came back: it is expired again.
func (m *Machine) Lost(now Instant) {
	if m.state == Secured {
		m.state, m.retry, m.attempt, m.due = Expired, now, 0, now
	}
}

// Unlocked says that the person came back at the given instant. Unlocking is input.
func (m *Machine) Unlocked(at Instant) {
	if m.state == Expired || m.state == Secured {
		m.state, m.input, m.nearer, m.attempt = Active, max(m.input, at), Never, 0
	}
}

// Advance gives the next decision that is due at now. Call it until it answers false.
func (m *Machine) Advance(now Instant) (Transition, bool) {
	switch m.state {
	case Active, Warned:
		return m.watch(now)
	case Expired:
		return m.insist(now)
	default:
		return m.stages(now)
	}
}

func (m *Machine) watch(now Instant) (Transition, bool) {
	due, warn := m.Deadline(), m.WarnAt()
	t := Transition{From: m.state, At: now}
	switch {
	case now >= due:
		m.due, m.attempt = due, 1
		m.retry = add(now, m.pause())
		t.To, t.At, t.Attempt = Expired, due, 1
	case now >= warn && m.state == Active:
		t.To, t.At = Warned, warn
	case now < warn && m.state == Warned:
		t.To = Active
	default:
		return Transition{}, false
	}
	m.state = t.To
	return t, true
}

func (m *Machine) insist(now Instant) (Transition, bool) {
	if now < m.retry {
		return Transition{}, false
	}
	m.attempt++
	t := Transition{From: Expired, To: Expired, At: m.retry, Attempt: m.attempt}
	m.retry = add(now, m.pause())
	return t, true
}

func (m *Machine) stages(now Instant) (Transition, bool) {
	at := m.stageAt()
	if now < at {
		return Transition{}, false
	}
	m.stage++
	return Transition{From: Secured, To: Secured, At: at, Stage: m.stage}, true
}

// stageAt is when the next stage is due.
func (m *Machine) stageAt() Instant {
	if m.stage >= len(m.limits.Stages) {
		return Never
	}
	return max(add(m.secured, m.limits.Stages[m.stage]), m.redo)
}

// Next is the first instant at which Advance may have something to say, if no fact comes before.
func (m *Machine) Next() Instant {
	switch m.state {
	case Active:
		return m.WarnAt()
	case Warned:
		return m.Deadline()
	case Expired:
		return m.retry
	default:
		return m.stageAt()
	}
}

func (m *Machine) pause() time.Duration {
	if m.limits.Retry <= 0 {
		return time.Second
	}
	return m.limits.Retry
}

// add is a+d, Never instead of an overflow.
func add(a Instant, d time.Duration) Instant {
	if d > 0 && a > Never-d {
		return Never
	}
	return a + d
}
