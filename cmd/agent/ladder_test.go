package main

import (
	"context"
	"testing"
	"time"

	"stepaway/clock"
	"stepaway/policy"
	"stepaway/session"
)

// sinceOf keeps what a look asks the ladder; nothing else of it is called.
type sinceOf struct {
	ladder
	since time.Duration
}

func (s *sinceOf) Look(_ context.Context, _ session.Session, since time.Duration) policy.Proof {
	s.since = since
	return policy.ProofNone
}

// TestNoLockerCountsThatNobodyAskedFor: where only its start speaks for a locker, none that a user has started does.
func TestNoLockerCountsThatNobodyAskedFor(t *testing.T) {
	var l sinceOf
	climber{&l}.Look(t.Context(), session.Session{Kind: session.Wayland})
	if soon := clock.Now() + 1000*time.Hour; l.since < soon {
		t.Errorf("a locker counts that was started after %v, and it is %v", l.since, clock.Now())
	}
}
