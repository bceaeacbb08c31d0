package enforce

import (
	"context"

	"stepaway/audit"
	"stepaway/policy"
)

// Record takes an event of a part that runs beside the loop, such as one that looks at the installation, and completes it
// like the loop's own. It reports whether the loop took it: false when ctx or the loop ended first.
func (e *Enforcer) Record(ctx context.Context, ev audit.Event) bool {
	return e.onLoop(ctx, func() { e.record(ev) })
}

// InForce answers the policy in force and its hash; false when ctx or the loop ended first. The policy is not to be
// changed.
func (e *Enforcer) InForce(ctx context.Context) (p policy.Policy, hash string, ok bool) {
	type answer struct {
		p    policy.Policy
		hash string
	}
	out := make(chan answer, 1)
	ok = e.onLoop(ctx, func() { out <- answer{e.loaded.Policy, e.hash} })
	if !ok {
		return policy.Policy{}, "", false
	}
	a := <-out
	return a.p, a.hash, true
}

// onLoop waits until the loop has run f.
func (e *Enforcer) onLoop(ctx context.Context, f func()) bool {
	done := make(chan struct{})
	e.post(ctx, func() { f(); close(done) })
	select {
	case <-done:
		return true
	case <-ctx.Done():
	case <-e.closed:
	}
	return false
}
