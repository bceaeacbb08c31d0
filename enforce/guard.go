package enforce

import (
	"context"
	"maps"
	"strings"
	"time"

	"stepaway/audit"
	"stepaway/deadline"
	"stepaway/link"
	"stepaway/policy"
	"stepaway/session"
)

// How often and how long.
const (
	retryEvery    = 4 * time.Second // between attempts while nothing secures a session
	loudAttempts  = 3               // recorded one by one; later ones only now and then: their number tells of the rest
	loudEvery     = 50
	readableIn    = 10 * time.Second // a source of input has this long to become readable
	trayAgain     = 15 * time.Second // between starts of a tray
	trayLook      = 5 * time.Second  // between looks at a tray's process
	trayBack      = 2 * time.Second  // a tray that was lost is started again after this
	injectedEvery = time.Minute      // between records of injected input
	impostorEvery = time.Minute
	glanceEvery   = time.Second // a terminal's last input is looked at this often while warned
	saveEvery     = time.Second
)

// guard is one session under its deadline.
type guard struct {
	s        session.Session
	m        *deadline.Machine
	eff      policy.Effective
	look     Instant // next time something other than the deadline wants a look
	securing bool
	attempt  int          // 1.. of this deadline
	reason   audit.Reason // of the deadline that is coming or past
	lockOnly bool         // it is the machine that sleeps: a lock will do, whatever the policy's action
	proof    policy.Proof
	rung     string
	input    Input
	relocks  int
	claimed  Instant            // since when attempts end with no more than a claim, 0 if they do not
	release  context.CancelFunc // ends Hold
	checking bool               // a claim is being looked at
	closing  context.CancelFunc // ends the closing of clients, nil while none goes on
	tray     trayState
	shown    link.State
	started  Instant
	since    Instant // when it was last secured
	switched Instant // when its seat was last switched to it
	blind    bool    // input.unreadable was said
	injected uint64
	told     Instant // when input.injected was last said
	impostor Instant // when tray.impostor was last said
}

type trayState struct {
	show   func(link.State)
	peer   link.Peer
	due    Instant // when to start one, Never if not
	looked Instant // when its process was last looked at
	lost   bool
	old    int32 // pid of the one before
}

func (g *guard) apply(p *policy.Policy) {
	g.eff = p.For(g.s.Groups)
	var stages []time.Duration
	for _, st := range stagesOf(g.eff.Stages) {
		stages = append(stages, st.after)
	}
	g.m.SetLimits(deadline.Limits{Idle: g.eff.Limit, Warn: g.eff.Warning, Retry: retryEvery, Stages: stages})
}

type stage struct {
	after  time.Duration
	action policy.Action
}

// stagesOf lists the stages that follow a lock, in the order in which they are due.
func stagesOf(st policy.Stages) []stage {
	var out []stage
	c, s := st.CloseClientsAfter, st.SignOutAfter
	if c > 0 {
		out = append(out, stage{c, policy.CloseClients})
	}
	if s > 0 {
		out = append(out, stage{s, policy.SignOut})
	}
	if len(out) == 2 && s < c {
		out[0], out[1] = out[1], out[0]
	}
	return out
}

// adopt takes a snapshot of the sessions.
func (e *Enforcer) adopt(ctx context.Context, ss []session.Session) {
	open := ss[:0:0]
	now := e.o.Clock.Now()
	for _, s := range ss {
		if s.Closing || !s.Attended() {
			continue
		}
		open = append(open, s)
		if g := e.guards[s.ID]; g != nil {
			e.refresh(ctx, g, s)
		} else {
			g := e.newGuard(s, now)
			e.guards[s.ID] = g
			if e.guardedBefore(s) {
				e.checkLocked(ctx, g, audit.UnknownReason, "found")
			}
		}
	}
	alive := map[string]session.Session{}
	for _, s := range open {
		alive[s.ID] = s
	}
	for id, g := range e.guards {
		if _, here := alive[id]; !here {
			g.release()
			delete(e.guards, id)
			e.recordOf(g, audit.Event{Type: audit.SessionEnd})
		}
	}
	e.mu.Lock()
	e.known = maps.Clone(alive)
	e.mu.Unlock()
	e.o.Inputs.Follow(open)
	e.o.Ladder.Nudge()
	e.dirty = true
}

// guardedBefore reports whether the run before guarded a session.
func (e *Enforcer) guardedBefore(s session.Session) bool {
	_, known := e.o.Saved.Sessions[s.ID]
	return known && e.o.Saved.Boot == e.o.Boot
}

func (e *Enforcer) newGuard(s session.Session, now Instant) *guard {
	last := now
	if e.guardedBefore(s) {
		last = min(last, e.o.Saved.Sessions[s.ID])
	}
	if s.Left > 0 { // nobody has sat before it since, whenever it is first seen
		last = min(last, s.Left)
	}
	g := &guard{s: s, m: deadline.New(last, deadline.Limits{}), reason: audit.Idle, proof: policy.ProofNone,
		release: func() {}, started: now, look: now + readableIn, told: -injectedEvery, impostor: -impostorEvery}
	g.tray.due = deadline.Never
	if e.o.Tray != nil && s.Kind.Graphical() {
		g.tray.due = now + e.o.TrayIn
	}
	g.apply(&e.loaded.Policy)
	e.recordOf(g, audit.Event{Type: audit.SessionStart})
	return g
}

// refresh takes what changed of a session that is known.
func (e *Enforcer) refresh(ctx context.Context, g *guard, s session.Session) {
	if s.Active != g.s.Active {
		if s.Active {
			g.switched = e.o.Clock.Now()
		}
		e.recordOf(g, audit.Event{Type: audit.SessionSwitch, Facts: &audit.Facts{Code: activeWord(s.Active)}})
	}
	claimed, unclaimed := s.LockedHint && !g.s.LockedHint, g.s.LockedHint && !s.LockedHint
	g.s = s
	g.apply(&e.loaded.Policy)
	if unclaimed && g.m.State() == deadline.Expired {
		e.unclaimed(g)
	}
	if claimed && (g.m.State() == deadline.Active || g.m.State() == deadline.Warned) {
		e.checkLocked(ctx, g, audit.Manual, "user")
	}
}

func activeWord(active bool) audit.Label {
	if active {
		return "active"
	}
	return "inactive"
}

// believe takes the session's last input.
func (e *Enforcer) believe(g *guard, now Instant) {
	in, ok := e.o.Inputs.Latest(g.s.ID)
	if !ok {
		in = Input{At: g.input.At, InjectedCount: g.input.InjectedCount}
	}
	g.input = in
	if at := min(in.At, now); at > g.m.LastInput() {
		was := g.m.State()
		g.m.Input(at)
		e.dirty = true
		if was == deadline.Secured && g.m.State() == deadline.Active {
			e.returned(g, "open")
		}
	}
	e.tellInput(g, now)
}

// tellInput records what is wrong with a session's input.
func (e *Enforcer) tellInput(g *guard, now Instant) {
	if !g.input.Readable && !g.blind && now >= g.started+readableIn {
		g.blind = true
		source, _ := e.o.Inputs.Choice(g.s.ID)
		e.recordOf(g, audit.Event{Type: audit.InputUnreadable, Outcome: audit.Failure, Facts: &audit.Facts{Source: audit.MakeLabel(source)}})
	}
	if g.input.Readable {
		g.blind = false
	}
	if n := g.input.InjectedCount; n > g.injected && now >= g.told+injectedEvery {
		e.recordOf(g, audit.Event{Type: audit.InputInjected, Facts: &audit.Facts{Count: int64(n - g.injected)}})
		g.injected, g.told = n, now
	}
}

// tend keeps a session's tray and looks after what has no event of its own.
func (e *Enforcer) tend(g *guard, now Instant) {
	g.look = deadline.Never
	if now < g.started+readableIn {
		g.look = g.started + readableIn
	}
	if source, _ := e.o.Inputs.Choice(g.s.ID); source == "tty" && g.m.State() == deadline.Warned {
		g.look = min(g.look, now+glanceEvery)
	}
	e.watchTray(g, now)
	if now >= g.tray.due && !e.securedOrLate(g) {
		g.tray.due = now + trayAgain
		e.o.Tray.Start(g.s, g.tray.old)
	}
	if !e.securedOrLate(g) {
		g.look = min(g.look, g.tray.due)
	}
	e.show(g)
}

// watchTray notices a tray that was ended or stopped, when the loop is awake anyway.
func (e *Enforcer) watchTray(g *guard, now Instant) {
	if g.tray.show == nil || e.o.Tray == nil || now < g.tray.looked+trayLook {
		return
	}
	g.tray.looked = now
	if !e.o.Tray.Running(g.tray.peer) {
		e.trayLost(g)
	}
}

// securedOrLate: behind a locked screen a tray is of no use, and a session that is being ended needs none.
func (e *Enforcer) securedOrLate(g *guard) bool {
	return g.m.State() == deadline.Secured || g.m.State() == deadline.Expired
}

// show gives the tray a new State when it differs by more than a person would see.
func (e *Enforcer) show(g *guard) {
	if g.tray.show == nil {
		return
	}
	st := e.state(g)
	old := g.shown
	moved := st.DeadlineMS - old.DeadlineMS
	old.DeadlineMS, old.WarnMS, old.Unsent = st.DeadlineMS, st.WarnMS, st.Unsent
	if st != old || moved > 500 || moved < -500 {
		g.shown = st
		g.tray.show(st)
	}
}

func (e *Enforcer) state(g *guard) link.State {
	source, _ := e.o.Inputs.Choice(g.s.ID)
	st := link.State{
		Session: g.s.ID, Phase: link.Phase(g.m.State().String()),
		WarnMS: g.m.WarnAt().Milliseconds(), DeadlineMS: g.m.Deadline().Milliseconds(),
		LimitMS: g.eff.Limit.Milliseconds(), WarningMS: g.eff.Warning.Milliseconds(),
		Action: string(g.eff.Action), Role: g.eff.Role, Source: source, Courier: "none",
	}
	if st.Action == string(policy.CloseClients) || st.Action == string(policy.CloseClientsAndLock) {
		st.Clients = clientNames(e.loaded.Policy.Clients)
	}
	if e.courier != nil {
		st.Courier, st.Unsent = e.courier.Collector, e.courier.Head-min(e.courier.Acked, e.courier.Head)
	}
	return st
}

// clientNames lists what is closed, for people to read.
func clientNames(cs []policy.Client) string {
	var names []string
	for _, c := range cs {
		if c.AtDeadline != policy.Leave {
			names = append(names, c.Name)
		}
	}
	return strings.Join(names, ", ")
}

// decide carries out one transition.
func (e *Enforcer) decide(ctx context.Context, g *guard, t deadline.Transition, now Instant) {
	switch {
	case t.To == deadline.Warned:
		e.recordOf(g, audit.Event{Type: audit.WarningShown, Facts: &audit.Facts{
			IdleMS: audit.MS(now - g.m.LastInput()), LimitMS: audit.MS(g.eff.Limit), Source: audit.Label(e.sourceOf(g))}})
		if !g.s.Kind.Graphical() {
			e.o.Warn(g.s, g.m.Deadline()-now, policy.SignOut)
		}
	case t.To == deadline.Active:
		e.recordOf(g, audit.Event{Type: audit.WarningCleared, Facts: &audit.Facts{IdleMS: audit.MS(now - g.m.LastInput())}})
	case t.To == deadline.Expired:
		e.secure(ctx, g, t, now)
	case t.Stage > 0:
		e.stage(ctx, g, t.Stage, now)
	}
}

func (e *Enforcer) sourceOf(g *guard) string {
	source, _ := e.o.Inputs.Choice(g.s.ID)
	return string(audit.MakeLabel(source))
}
