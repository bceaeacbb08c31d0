package lock

import (
	"context"
	"time"

	"stepaway/policy"
	"stepaway/proc"
	"stepaway/session"
)

const (
	fullLook = 6                      // glances at the locker's process from one look at the screen to the next
	reaping  = 500 * time.Millisecond // for an ended locker's parent to take note
)

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
// parent has taken note; older kernels do not tell anyone else. A parent may be any program of the user's and never take note
// that its child was killed. A saver's windows may be those of a process that it ends.
func manner(pin *proc.Pinned, locker proc.Process) Release {
	if isSaver(locker) {
		return Unwatched
	}
	for end := time.Now().Add(reaping); ; time.Sleep(20 * time.Millisecond) {
		late := time.Now().After(end)
		failed := late && pin.Failed() // before Exit, for the parent may take note in between
		status, ok := pin.Exit()
		switch {
		case ok && status.Exited() && status.ExitStatus() == 0:
			return Opened
		case ok, failed:
			return Killed
		case late:
			return Unwatched
		}
	}
}
