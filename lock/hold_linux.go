package lock

import (
	"context"
	"time"

	"stepaway/policy"
	"stepaway/proc"
	"stepaway/session"
)

const (
	glance   = 5 * time.Second        // between looks at the locker's process
	fullLook = 6                      // glances from one look at the screen to the next
	again    = 300 * time.Millisecond // before a lock that seems lost is looked at once more
	reaping  = 500 * time.Millisecond // for an ended locker's parent to take note
)

// Nudge has every Hold look at once: to be called when something about sessions has changed, and after sleep.
func (l *Ladder) Nudge() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for ch := range l.nudges {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// Hold watches a proved lock. It sends once, when the lock is no longer proved, and never after the context has ended. The
// end of a locker is noticed at once; what nobody tells of, such as a locker that was stopped or a greeter that went
// away, within seconds, or at the next Nudge.
func (l *Ladder) Hold(ctx context.Context, s session.Session) <-chan Release {
	out := make(chan Release, 1)
	nudge := make(chan struct{}, 1)
	l.mu.Lock()
	l.nudges[nudge] = struct{}{}
	l.mu.Unlock()
	go func() {
		defer func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			delete(l.nudges, nudge)
		}()
		if r := l.watch(ctx, s, nudge); ctx.Err() == nil {
			out <- r
		}
	}()
	return out
}

// watch returns how the lock that is there now ends.
func (l *Ladder) watch(ctx context.Context, s session.Session, nudge <-chan struct{}) Release {
	for {
		e := l.evidence(ctx, s, asking{})
		if e.proof == policy.ProofNone {
			e = l.secondLook(ctx, s)
		}
		switch e.proof {
		case policy.ProofNone:
			return Unwatched
		case policy.ProofEnded:
			return Ended
		case policy.ProofLocker:
			if r, over := l.watchLocker(ctx, s, e.locker, nudge); over {
				return r
			}
		default:
			if r, over := l.watchWord(ctx, s, e.proof, nudge); over {
				return r
			}
		}
		if ctx.Err() != nil {
			return Unwatched
		}
	}
}

// secondLook lets a passing failure to look be over.
func (l *Ladder) secondLook(ctx context.Context, s session.Session) evidence {
	select {
	case <-ctx.Done():
	case <-time.After(again):
	}
	return l.evidence(ctx, s, asking{})
}

// watchWord watches what only logind tells: a greeter in front, a hint. over is false when there is a stronger proof now.
func (l *Ladder) watchWord(ctx context.Context, s session.Session, had policy.Proof, nudge <-chan struct{}) (r Release, over bool) {
	tick := time.NewTicker(glance)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return Unwatched, true
		case <-tick.C:
		case <-nudge:
		}
		e := l.evidence(ctx, s, asking{})
		if !e.proof.AtLeast(had) {
			e = l.secondLook(ctx, s)
		}
		switch {
		case e.proof == policy.ProofEnded:
			return Ended, true
		case !e.proof.AtLeast(had) && e.proof != policy.ProofLocker: // a locker beneath a greeter that left still locks
			return Unwatched, true
		case e.proof != had:
			return "", false
		}
	}
}

// watchLocker watches one locker's process, and now and then its screen.
func (l *Ladder) watchLocker(ctx context.Context, s session.Session, locker proc.Process, nudge <-chan struct{}) (r Release, over bool) {
	pin, err := proc.Pin(locker.PID)
	if err != nil || !pin.Same(locker) {
		if err == nil {
			pin.Close()
		}
		return l.gone(ctx, s, Unwatched)
	}
	defer pin.Close()
	waiting, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		_ = pin.Wait(waiting)
		close(ended)
	}()
	defer func() { cancel(); <-ended }()
	tick := time.NewTicker(glance)
	defer tick.Stop()
	for n := 1; ; n++ {
		look := n%fullLook == 0
		select {
		case <-ctx.Done():
			return Unwatched, true
		case <-ended:
			return l.gone(ctx, s, manner(pin, locker))
		case <-nudge:
			look = true
		case <-tick.C:
		}
		p, err := proc.Read(locker.PID)
		if err != nil { // it has ended; the pin tells next
			continue
		}
		if p.Running() && !look {
			continue
		}
		if e := l.evidence(ctx, s, asking{}); e.proof != policy.ProofLocker || e.locker.PID != locker.PID {
			return l.gone(ctx, s, lostBy(locker))
		}
	}
}

// lostBy tells how the screen was lost by a locker that lives: a saver has opened, unless a program of the user took its
// windows away, which nobody can tell apart. Other lockers end when they open.
func lostBy(locker proc.Process) Release {
	if isSaver(locker) {
		return Unwatched
	}
	return Killed
}

// gone is asked when a locker no longer holds its session: something else may.
func (l *Ladder) gone(ctx context.Context, s session.Session, how Release) (r Release, over bool) {
	e := l.evidence(ctx, s, asking{})
	if how != Opened && !e.proof.AtLeast(policy.ProofLocker) {
		e = l.secondLook(ctx, s)
	}
	switch {
	case e.proof == policy.ProofEnded:
		return Ended, true
	case e.proof.AtLeast(policy.ProofLocker):
		return "", false
	}
	return how, true
}

// manner tells how a locker ended: lockers report success only after the right password. The kernel knows once the
// parent has taken note; older kernels do not tell anyone else. A saver's windows may be those of a process that it ends.
func manner(pin *proc.Pinned, locker proc.Process) Release {
	if isSaver(locker) {
		return Unwatched
	}
	for end := time.Now().Add(reaping); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		status, ok := pin.Exit()
		switch {
		case !ok:
			continue
		case status.Exited() && status.ExitStatus() == 0:
			return Opened
		}
		return Killed
	}
	return Unwatched
}
