package lock

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"stepaway/policy"
	"stepaway/proc"
	"stepaway/session"
)

// Bus calls methods on the system bus, each within a bounded time.
type Bus interface {
	Call(ctx context.Context, dest string, path dbus.ObjectPath, method string, args ...any) ([]any, error)
}

// Options are what a Ladder needs. Root and Bus decide which rungs it has.
type Options struct {
	Root     bool                 // may act on every session; otherwise on the caller's own only
	Bus      Bus                  // nil: no logind, no greeter
	Log      *slog.Logger         // nil: silent
	Now      func() time.Duration // time since boot; nil: CLOCK_BOOTTIME
	RungWait time.Duration        // for the proof of one rung; 0: two seconds
}

const (
	defaultRungWait = 2 * time.Second
	endWait         = 5 * time.Second // for a session to end: half of it politely

	// Before the first request there is little time: a session must be asked to lock within half a second of its deadline,
	// whatever its programs do.
	beforeAsking = 300 * time.Millisecond
	askWithin    = time.Second // for one request
	lookWithin   = 1500 * time.Millisecond
	lookMost     = 5 * time.Second // for one that nobody waits for
)

// Ladder secures sessions. Its methods may be called from several goroutines.
type Ladder struct {
	o Options

	mu        sync.Mutex
	fallbacks []string // trusted paths of the lockers that policy named
	nudges    map[chan struct{}]struct{}
	doing     map[string]chan struct{} // what may hang, by kind; closed when it has ended
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

func bootTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("read CLOCK_BOOTTIME: " + err.Error()) // cannot fail on a kernel that runs this
	}
	return time.Duration(ts.Nano())
}

// climb is one run up the ladder.
type climb struct {
	*Ladder
	s     session.Session
	w     Want
	least policy.Proof
	asking
	best   policy.Proof
	by     proc.Process // the locker that it rests on, if it does
	report func(Step)
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
	c := &climb{Ladder: l, s: s, w: w, least: least(s, w), asking: asking{since: l.o.Now()}, best: policy.ProofNone, report: report}
	if len(w.Fallback) > 0 {
		if path, err := trustedFile(w.Fallback[0]); err == nil {
			l.knowFallback(path)
		}
	}
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

// before looks, quickly, at how things are before anything is asked: whether the session is secured already, and whether
// the keyboard is another client's. A claim is not enough to ask nobody: the session may have made it at any time. Neither
// is a saver, which may cover the screen without locking it.
func (c *climb) before(ctx context.Context) (secured bool) {
	ctx, cancel := context.WithTimeout(ctx, beforeAsking)
	defer cancel()
	held := make(chan bool, 2)
	go func() {
		if c.within(ctx, beforeAsking, "keyboard of "+c.s.ID, func() { held <- c.keyboardHeld(ctx, c.s) }) != nil {
			held <- true // for all that is known
		}
	}()
	c.look(ctx)
	young := c.best == policy.ProofLocker && !isSaver(c.by) && c.o.Now() < c.by.Start+giveUp // it may not have the keyboard
	c.contested = <-held && (c.best != policy.ProofLocker || young)
	return c.best.AtLeast(policy.ProofLocker) && c.best.AtLeast(c.least) && !isSaver(c.by) && !young
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

// rungs are the means for a session, in order.
func (l *Ladder) rungs(s session.Session, w Want) []rung {
	end := rung{Terminate, (*climb).terminate, endWait}
	if ends(s, w) {
		return []rung{end}
	}
	list := []rung{
		{Logind, (*climb).askLogind, l.o.RungWait},
		{Own, (*climb).askDesktop, l.o.RungWait},
		{Fallback, (*climb).startFallback, l.o.RungWait},
	}
	greeter := rung{Greeter, (*climb).switchToGreeter, l.o.RungWait}
	if w.Goal == Disconnect {
		list = append([]rung{greeter}, list...)
	} else {
		list = append(list, greeter)
	}
	if w.Terminate {
		list = append(list, end)
	}
	return list
}

// try asks one rung and waits for proof.
func (c *climb) try(ctx context.Context, r rung) (proved bool) {
	code, hopeless := c.askFor(ctx, r)
	if code == "" {
		code = c.prove(ctx, r.wait, hopeless)
	} else {
		c.look(ctx)
	}
	if wait := c.unripe(ctx); wait > 0 && !c.best.AtLeast(c.least) {
		code = c.prove(ctx, wait, func(ctx context.Context) bool { return c.unripe(ctx) <= 0 })
		c.look(ctx)
	}
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

// unripe is how long it takes until a locker that covers the screen counts, 0 if there is none that will: the next rung
// could do no more than it does, and the last one would end a session that is locked. However many lockers are started one
// after the other, a climb waits no longer than one and a half times that.
func (c *climb) unripe(ctx context.Context) time.Duration {
	if !c.contested || ctx.Err() != nil || c.s.Kind != session.X11 && c.s.Kind != session.Unknown {
		return 0
	}
	p, ok := c.onScreen(ctx, c.s, asking{since: c.since})
	if !ok {
		return 0
	}
	return max(min(p.Start, c.since+giveUp/2)+giveUp+slack-c.o.Now(), 0)
}

// look takes what is proved now, which may be less than before.
func (c *climb) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	e := c.evidence(ctx, c.s, c.asking)
	c.best, c.by = e.proof, e.locker
}

func (c *climb) leave(r Rung, code Code) {
	if c.report != nil {
		c.report(Step{Rung: r, At: c.o.Now(), Proof: c.best, Code: code})
	}
}

// Look tells what is proved right now. since is the boot time after which a locker must have been started where the
// screen itself cannot be asked, 0 for any. Where it can (X11), a locker counts by what it holds, whenever it was started.
func (l *Ladder) Look(ctx context.Context, s session.Session, since time.Duration) policy.Proof {
	return l.evidence(ctx, s, asking{since: since}).proof
}

// knowFallback makes a locker named by policy count as one, for every session, as policy is.
func (l *Ladder) knowFallback(path string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.fallbacks, path) {
		l.fallbacks = append(l.fallbacks, path)
	}
}

func (l *Ladder) knownFallbacks() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.fallbacks)
}
