package lock

import (
	"context"
	"time"

	"stepaway/policy"
	"stepaway/session"
)

const (
	glance = 5 * time.Second        // between looks at a lock
	again  = 300 * time.Millisecond // before a lock that seems lost is looked at once more
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

// lookAgain lets a passing failure to look be over.
func (l *Ladder) lookAgain(ctx context.Context, s session.Session) policy.Proof {
	select {
	case <-ctx.Done():
	case <-time.After(again):
	}
	return l.Look(ctx, s, 0)
}

// watchWord watches a proof that only the system's word tells, as a greeter in front. over is false when there is a stronger proof now.
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
		now := l.Look(ctx, s, 0)
		if !now.AtLeast(had) {
			now = l.lookAgain(ctx, s)
		}
		switch {
		case now == policy.ProofEnded:
			return Ended, true
		case !now.AtLeast(had) && now != policy.ProofLocker: // a locker beneath a greeter that left still locks
			return Unwatched, true
		case now != had:
			return "", false
		}
	}
}
