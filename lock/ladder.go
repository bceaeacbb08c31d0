package lock

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"stepaway/policy"
	"stepaway/session"
)

const (
	defaultRungWait = 2 * time.Second

	// Before the first request there is little time: a session must be asked to lock within half a second of its deadline,
	// whatever its programs do.
	beforeAsking = 300 * time.Millisecond
	askWithin    = time.Second // for one request
	lookWithin   = 1500 * time.Millisecond
	lookMost     = 5 * time.Second  // for one that nobody waits for
	startLimit   = 10 * time.Second // for what it takes to start a program
)

// Ladder secures sessions. Its methods may be called from several goroutines.
type Ladder struct {
	o Options

	mu     sync.Mutex
	nudges map[chan struct{}]struct{}
	doing  map[string]chan struct{} // what may hang, by kind; closed when it has ended
	kept
}

// New makes a ladder.
func New(o Options) *Ladder {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = bootTime
	}
	if o.RungWait <= 0 {
		o.RungWait = defaultRungWait
	}
	return &Ladder{o: o, nudges: map[chan struct{}]struct{}{}, doing: map[string]chan struct{}{}}
}

// climb is one run up the ladder.
type climb struct {
	*Ladder
	s      session.Session
	w      Want
	least  policy.Proof
	best   policy.Proof
	report func(Step)
	facts
}

// rung asks for one means. It returns a code if that could not be asked, or an optional check that tells early that
// there will be no proof.
type rung struct {
	name Rung
	ask  func(*climb, context.Context) (Code, func(context.Context) bool)
	wait time.Duration
}

// Secure climbs until there is the proof that w wants, and returns the best it has. It reports each rung when it leaves
// it. It ends with the context, and by itself after the waits of its rungs.
func (l *Ladder) Secure(ctx context.Context, s session.Session, w Want, report func(Step)) policy.Proof {
	c := &climb{Ladder: l, s: s, w: w, least: least(s, w), best: policy.ProofNone, report: report}
	if c.before(ctx) {
		c.leave(Already, "")
		return c.best
	}
	for _, r := range l.rungs(s, w) {
		if ctx.Err() != nil {
			break
		}
		if c.try(ctx, r) {
			break
		}
	}
	return c.best
}

// least is the weakest proof that counts.
func least(s session.Session, w Want) policy.Proof {
	switch {
	case ends(s, w):
		return policy.ProofEnded
	case w.Goal == Disconnect && !w.Proof.AtLeast(policy.ProofLocker):
		return policy.ProofLocker
	case !w.Proof.AtLeast(policy.ProofClaim):
		return policy.ProofLocker
	}
	return w.Proof
}

// ends reports whether only the end of the session will do: a terminal has no lock.
func ends(s session.Session, w Want) bool {
	return w.Goal == SignOut || s.Kind == session.TTY || s.Kind == session.SSH
}

// try asks one rung and waits for proof.
func (c *climb) try(ctx context.Context, r rung) (proved bool) {
	code, hopeless := c.askFor(ctx, r)
	if code == "" {
		code = c.prove(ctx, r.wait, hopeless)
	} else {
		c.look(ctx)
	}
	code = c.ripen(ctx, code)
	if c.best.AtLeast(c.least) {
		c.leave(r.name, "")
		return true
	}
	c.leave(r.name, code)
	return false
}

// askFor asks for one means, and does not wait for longer than that may take.
func (c *climb) askFor(ctx context.Context, r rung) (Code, func(context.Context) bool) {
	type answer struct {
		code     Code
		hopeless func(context.Context) bool
	}
	got := make(chan answer, 1)
	err := c.within(ctx, 2*askWithin, string(r.name)+" of "+c.s.ID, func() {
		asking, cancel := context.WithTimeout(ctx, askWithin)
		defer cancel()
		code, hopeless := r.ask(c, asking)
		got <- answer{code, hopeless}
	})
	select {
	case a := <-got:
		return a.code, a.hopeless
	default:
		return c.failed("ask by "+string(r.name), err), nil
	}
}

// prove looks again and again until there is proof, the time is over, or there is no hope.
func (c *climb) prove(ctx context.Context, wait time.Duration, hopeless func(context.Context) bool) Code {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 160*time.Millisecond) {
		if c.look(ctx); c.best.AtLeast(c.least) {
			return ""
		}
		if hopeless != nil && hopeless(ctx) {
			return Exited
		}
		select {
		case <-ctx.Done():
			return Unproved
		case <-time.After(pause):
		}
	}
}

// look takes what is proved now, which may be less than before.
func (c *climb) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	c.best = c.see(ctx)
}

func (c *climb) leave(r Rung, code Code) {
	if c.report != nil {
		c.report(Step{Rung: r, At: c.o.Now(), Proof: c.best, Code: code})
	}
}

// failed logs why a request did not succeed, and names it.
func (c *climb) failed(what string, err error) Code {
	if err != nil {
		c.o.Log.Warn("lock: a request failed", "session", c.s.ID, "request", what, "err", err)
	}
	return codeOf(err)
}
