package enforce

import (
	"context"
	"time"

	"stepaway/audit"
	"stepaway/deadline"
	"stepaway/policy"
	"stepaway/session"
)

// How long one run up the ladder may take, and what counts as a return.
const (
	secureWithin = 45 * time.Second
	returnInput  = time.Minute // a lock that is gone counts as opened if its user gave input this recently
	maxRelocks   = 2           // a locker lost more often than this ends the session, if policy allows
	lookWithin   = 5 * time.Second
)

// secure starts one run up the ladder for an expired session, unless one is under way.
func (e *Enforcer) secure(ctx context.Context, g *guard, t deadline.Transition, now Instant) {
	if g.securing {
		return
	}
	g.securing = true
	if t.Attempt == 1 {
		g.attempt = 0
	}
	g.attempt++
	action := g.eff.Action
	if g.lockOnly {
		action = policy.Lock
	}
	if g.relocks > maxRelocks && e.loaded.Policy.Lock.Terminate {
		action = policy.SignOut
	}
	if !g.s.Kind.Graphical() {
		action = policy.SignOut
	}
	typ := audit.LockRequested
	switch action {
	case policy.SignOut:
		typ = audit.SignoutRequested
	case policy.CloseClients:
		typ = ""
	}
	if typ != "" && loud(g.attempt) {
		e.recordOf(g, audit.Event{Type: typ, Facts: &audit.Facts{Attempt: g.attempt,
			IdleMS: audit.MS(now - g.m.LastInput()), LateMS: late(g, now), LimitMS: audit.MS(g.eff.Limit)}})
	}
	r := &securing{e: e, g: g, s: g.s, p: e.loaded.Policy, attempt: g.attempt}
	if action == policy.CloseClientsAndLock {
		e.closeBeside(ctx, g)
	}
	e.work.Go(func() { r.run(ctx, action) })
}

// late is how long the deadline has passed, nil where it had not come, or was met: a stage has none.
func late(g *guard, now Instant) *int64 {
	if now < g.m.Deadline() || g.m.State() == deadline.Secured {
		return nil
	}
	return audit.MS(now - g.m.Deadline())
}

// stageReason is the reason of what is done to a session that is secured already, "" for another.
func stageReason(g *guard) audit.Reason {
	if g.m.State() == deadline.Secured {
		return audit.Policy
	}
	return ""
}

// securing is one run up the ladder, on a goroutine of its own. It reads s and p, its own copies, and
// touches the guard only through the inbox.
type securing struct {
	e       *Enforcer
	g       *guard
	s       session.Session
	p       policy.Policy
	attempt int
	rung    string
}

func (r *securing) run(ctx context.Context, action policy.Action) {
	limited, cancel := context.WithTimeout(ctx, secureWithin)
	defer cancel()
	switch action {
	case policy.CloseClients:
		if r.e.closeClients(ctx, r.g, r.s, r.p.Clients) == 0 {
			r.e.post(ctx, func() { r.e.secured(ctx, r.g, policy.ProofNone, "clients", true) })
			return
		}
		r.climb(limited, ctx, GoalLock)
	case policy.SignOut:
		r.climb(limited, ctx, GoalSignOut)
	case policy.Disconnect:
		r.climb(limited, ctx, GoalDisconnect)
	default:
		r.climb(limited, ctx, GoalLock)
	}
}

func (r *securing) climb(limited, ctx context.Context, goal Goal) {
	want := Want{Goal: goal, Proof: r.p.Lock.Proof, Fallback: r.p.Lock.Fallback, Terminate: r.p.Lock.Terminate}
	if goal == GoalSignOut {
		want.Proof = policy.ProofEnded
	}
	proof := r.e.o.Ladder.Secure(limited, r.s, want, func(st Step) {
		if st.Code == Unavailable {
			return
		}
		r.rung = st.Rung
		if !st.Proof.AtLeast(want.Proof) {
			r.e.post(ctx, func() { r.e.escalated(r.g, st, r.attempt) })
		}
	})
	r.e.post(ctx, func() {
		if proof.AtLeast(want.Proof) {
			r.e.secured(ctx, r.g, proof, r.rung, false)
		} else {
			r.e.failed(r.g, proof, r.rung, r.attempt)
		}
	})
}

// loud reports whether an attempt is recorded. A session that cannot be secured is tried without end, and must not fill the
// spool with it.
func loud(attempt int) bool { return attempt <= loudAttempts || attempt%loudEvery == 0 }

func (e *Enforcer) escalated(g *guard, st Step, attempt int) {
	if !loud(attempt) {
		return
	}
	e.recordOf(g, audit.Event{Type: audit.LockEscalated, Outcome: audit.Failure, Facts: &audit.Facts{Attempt: attempt,
		Rung: audit.MakeLabel(st.Rung), Proof: audit.Label(st.Proof), Code: audit.MakeLabel(st.Code)}})
}

func (e *Enforcer) failed(g *guard, proof policy.Proof, rung string, attempt int) {
	g.securing = false
	if e.guards[g.s.ID] != g {
		return
	}
	now := e.o.Clock.Now()
	g.m.Redo(now + retryEvery) // if it was a stage
	switch {
	case proof != policy.ProofClaim:
		g.claimed = 0
	case g.claimed == 0:
		g.claimed = now
	}
	if !loud(attempt) {
		return
	}
	e.recordOf(g, audit.Event{Type: audit.LockFailed, Outcome: audit.Failure, Reason: stageReason(g), Facts: &audit.Facts{
		Attempt: attempt, Rung: audit.MakeLabel(rung), Proof: audit.Label(proof), LateMS: late(g, now)}})
	e.o.Log.Error("session not secured; trying again", "session", g.s.ID, "proof", proof, "again", retryEvery)
}

// secured takes the proof that a session is secured. open: only its clients were closed.
func (e *Enforcer) secured(ctx context.Context, g *guard, proof policy.Proof, rung string, open bool) {
	g.securing = false
	now := e.o.Clock.Now()
	typ := audit.LockProved
	switch {
	case proof == policy.ProofEnded:
		typ = audit.SignoutDone
	case open:
		typ = audit.ClientClosed
	}
	facts := &audit.Facts{IdleMS: audit.MS(now - g.m.LastInput()), LateMS: late(g, now), Rung: audit.MakeLabel(rung), Proof: audit.Label(proof)}
	if open {
		facts.Code = "none-left"
	}
	e.recordOf(g, audit.Event{Type: typ, Reason: stageReason(g), Facts: facts})
	if e.guards[g.s.ID] != g || g.m.State() == deadline.Secured {
		return // gone, or a stage of what is secured already
	}
	g.proof, g.rung, g.since, g.attempt, g.claimed = proof, rung, now, 0, 0
	g.m.SetSecured(now, open)
	if !open {
		e.hold(ctx, g)
	}
}

// freshWithin is how long the news of a session may take before what is known decides.
const freshWithin = time.Second

// hold watches a proved lock until it is gone. Where nobody saw how it went, it is asked first how the sessions stand: that its
// user came back by a greeter may not have been told yet, and locking him again would be harm.
func (e *Enforcer) hold(ctx context.Context, g *guard) {
	g.release()
	holding, cancel := context.WithCancel(ctx)
	g.release = cancel
	s := g.s
	e.work.Go(func() {
		select {
		case r := <-e.o.Ladder.Hold(holding, s):
			var now []session.Session
			if r == ReleaseUnknown {
				now = e.fresh(holding)
			}
			e.post(holding, func() {
				if now != nil {
					e.adopt(ctx, now)
				}
				if e.guards[g.s.ID] == g {
					e.released(g, r)
				}
			})
		case <-holding.Done():
		}
	})
}

// fresh is who is logged on now, nil if that is not known in time.
func (e *Enforcer) fresh(ctx context.Context) []session.Session {
	ctx, cancel := context.WithTimeout(ctx, freshWithin)
	defer cancel()
	ss, err := e.o.Sessions.Snapshot(ctx)
	if err != nil {
		return nil
	}
	return ss
}

// released decides whether a lock that is gone was opened by its user or lost. What a person types into a greeter is not
// this session's input, and a key can bring the session back past the greeter without a password: behind a greeter it
// counts that logind was told to unlock. A locker that covers the screen and then has a greeter come in front (light-locker)
// proves itself before the greeter does, and opens when the greeter was told the password.
func (e *Enforcer) released(g *guard, r Release) {
	if g.m.State() != deadline.Secured || r == ReleaseEnded {
		return
	}
	now := e.o.Clock.Now()
	e.believe(g, now)
	touched := g.input.At > max(g.since, now-returnInput)
	greeted := g.switched > g.since && g.s.Unlocked > g.since
	switch {
	case r == ReleaseUnknown && g.proof == policy.ProofGreeter && g.s.Unlocked <= g.since:
		e.lost(g, now) // switched to past the greeter
	case r == ReleaseOpened, r == ReleaseUnknown && (touched || greeted || g.proof == policy.ProofGreeter):
		e.cameBack(g, now, "")
	case r == ReleaseUnknown && !g.input.Readable:
		e.cameBack(g, now, "unverified")
	default:
		e.lost(g, now)
	}
}

func (e *Enforcer) lost(g *guard, now Instant) {
	g.relocks++
	e.recordOf(g, audit.Event{Type: audit.TamperSeen, Outcome: audit.Failure,
		Facts: &audit.Facts{Code: "locker-gone", Count: int64(g.relocks)}})
	g.m.Lost(now)
}

// unclaimed: a session that nothing proved locked, only its own word, takes that word back. If its user gave input since,
// he is taken to have come back, and the alert stands: locking again who has just given his password, every few
// seconds, would keep him from his work and secure nothing that the claim did not. Only on Wayland: on X11 a program could
// keep the locker from the keyboard, make the claim and take it back, and so put the lock off.
func (e *Enforcer) unclaimed(g *guard) {
	now := e.o.Clock.Now()
	e.believe(g, now)
	if g.s.Kind == session.Wayland && g.claimed != 0 && g.input.At > max(g.claimed, now-returnInput) {
		e.cameBack(g, now, "unverified")
	}
}

func (e *Enforcer) cameBack(g *guard, now Instant, code audit.Label) {
	g.relocks, g.claimed = 0, 0
	g.m.Unlocked(now)
	e.returned(g, code)
}

// returned records that the user of a secured session is back.
func (e *Enforcer) returned(g *guard, code audit.Label) {
	g.release()
	if g.closing != nil {
		g.closing() // who is back may go on with his work
	}
	e.dirty = true
	e.recordOf(g, audit.Event{Type: audit.UnlockSeen, Facts: &audit.Facts{Proof: audit.Label(g.proof), Code: code}})
	g.proof, g.rung, g.reason, g.lockOnly = policy.ProofNone, "", audit.Idle, false
}

// checkLocked looks whether a session is locked that nobody locked in this run: one that claims it, whose user did, or one
// that the run before may have locked. One look at a time: the session makes its claim as often as it likes.
func (e *Enforcer) checkLocked(ctx context.Context, g *guard, reason audit.Reason, rung string) {
	if g.checking {
		return
	}
	g.checking = true
	s, least := g.s, e.loaded.Policy.Lock.Proof
	e.work.Go(func() {
		defer e.post(ctx, func() { g.checking = false })
		limited, cancel := context.WithTimeout(ctx, lookWithin)
		defer cancel()
		proof := e.o.Ladder.Look(limited, s)
		if !proof.AtLeast(least) {
			return
		}
		e.post(ctx, func() {
			if st := g.m.State(); st == deadline.Active || st == deadline.Warned {
				g.reason = reason
				e.secured(ctx, g, proof, rung, false)
			}
		})
	})
}

// stage carries out what follows when a session stays secured.
func (e *Enforcer) stage(ctx context.Context, g *guard, n int, now Instant) {
	stages := stagesOf(g.eff.Stages)
	if n > len(stages) {
		return
	}
	g.attempt++
	if stages[n-1].action == policy.CloseClients {
		e.closeBeside(ctx, g)
		return
	}
	r := &securing{e: e, g: g, s: g.s, p: e.loaded.Policy, attempt: g.attempt}
	if loud(g.attempt) {
		e.recordOf(g, audit.Event{Type: audit.SignoutRequested, Reason: audit.Policy,
			Facts: &audit.Facts{Attempt: g.attempt, IdleMS: audit.MS(now - g.m.LastInput())}})
	}
	e.work.Go(func() { r.run(ctx, policy.SignOut) })
}

// closeBeside closes a session's clients beside all else, until the user is back: a busy file may put that off for minutes, and no
// lock waits for it. While one closing goes on no other is begun.
func (e *Enforcer) closeBeside(ctx context.Context, g *guard) {
	if g.closing != nil {
		return
	}
	closing, cancel := context.WithCancel(ctx)
	g.closing = cancel
	s, clients := g.s, e.loaded.Policy.Clients
	e.work.Go(func() {
		defer e.post(ctx, func() { g.closing = nil })
		defer cancel()
		e.closeClients(closing, g, s, clients)
	})
}

// closeClients runs beside the loop and answers how many processes are left.
func (e *Enforcer) closeClients(ctx context.Context, g *guard, s session.Session, all []policy.Client) int {
	var cs []policy.Client
	for _, c := range all {
		if c.AtDeadline != policy.Leave {
			cs = append(cs, c)
		}
	}
	return e.o.Ladder.CloseClients(ctx, s, cs, func(st ClientStep) {
		e.post(ctx, func() {
			ev := audit.Event{Type: st.Type, Facts: &audit.Facts{Client: audit.MakeLabel(st.Client), Count: int64(st.Count),
				Code: audit.MakeLabel(st.Code)}}
			if st.Type == audit.ClientFailed {
				ev.Outcome = audit.Failure
			}
			e.recordOf(g, ev)
		})
	})
}
