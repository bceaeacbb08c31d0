package lock

import (
	"context"
	"log/slog"
	"slices"
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

const endWait = 5 * time.Second // for a session to end: half of it politely

func bootTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("read CLOCK_BOOTTIME: " + err.Error()) // cannot fail on a kernel that runs this
	}
	return time.Duration(ts.Nano())
}

// kept is what a ladder knows from one call to the next.
type kept struct {
	fallbacks []string // trusted paths of the lockers that policy named
}

// facts are what a climb knows beside what every system has.
type facts struct {
	asking
	by proc.Process // the locker that the best proof rests on, if it does
}

// before looks, quickly, at how things are before anything is asked: whether the session is secured already, and whether
// the keyboard is another client's. A claim is not enough to ask nobody: the session may have made it at any time. Neither
// is a saver, which may cover the screen without locking it.
func (c *climb) before(ctx context.Context) (secured bool) {
	c.since = c.o.Now()
	if len(c.w.Fallback) > 0 {
		if path, err := trustedFile(c.w.Fallback[0]); err == nil {
			c.knowFallback(path)
		}
	}
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

// see returns what is proved now.
func (c *climb) see(ctx context.Context) policy.Proof {
	e := c.evidence(ctx, c.s, c.asking)
	c.by = e.locker
	return e.proof
}

// ripen waits for a locker that covers the screen and does not count yet, and returns the rung's code.
func (c *climb) ripen(ctx context.Context, code Code) Code {
	if wait := c.unripe(ctx); wait > 0 && !c.best.AtLeast(c.least) {
		code = c.prove(ctx, wait, func(ctx context.Context) bool { return c.unripe(ctx) <= 0 })
		c.look(ctx)
	}
	return code
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
