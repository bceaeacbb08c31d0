package lock

import (
	"context"

	"stepaway/policy"
	"stepaway/session"
)

// watch returns how the lock that is there now ends.
func (l *Ladder) watch(ctx context.Context, s session.Session, nudge <-chan struct{}) Release {
	for ctx.Err() == nil {
		had := l.Look(ctx, s, 0)
		if had == policy.ProofNone {
			had = l.lookAgain(ctx, s)
		}
		switch had {
		case policy.ProofNone:
			return l.manner(ctx, s)
		case policy.ProofEnded:
			return Ended
		}
		switch r, over := l.watchWord(ctx, s, had, nudge); {
		case over && r == Unwatched:
			return l.manner(ctx, s)
		case over:
			return r
		}
	}
	return Unwatched
}

// manner tells how a lock ended: Windows opens a desktop and connects a session only for who has logged on to it.
func (l *Ladder) manner(ctx context.Context, s session.Session) Release {
	if l.state(ctx, s).open {
		return Opened
	}
	return Unwatched
}
