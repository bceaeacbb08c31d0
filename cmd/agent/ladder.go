package main

import (
	"context"
	"math"
	"time"

	"stepaway/audit"
	"stepaway/enforce"
	"stepaway/lock"
	"stepaway/policy"
	"stepaway/session"
)

// climber fits the ladder to the loop.
type climber struct{ ladder }

// ladder is that of package lock.
type ladder interface {
	Secure(ctx context.Context, s session.Session, w lock.Want, report func(lock.Step)) policy.Proof
	Look(ctx context.Context, s session.Session, since time.Duration) policy.Proof
	Hold(ctx context.Context, s session.Session) <-chan lock.Release
	CloseClients(ctx context.Context, s session.Session, clients []policy.Client, report func(lock.ClientStep)) (left int)
	Nudge()
}

func (c climber) Secure(ctx context.Context, s session.Session, w enforce.Want, report func(enforce.Step)) policy.Proof {
	want := lock.Want{Proof: w.Proof, Fallback: w.Fallback, Terminate: w.Terminate, Goal: lock.Goal(w.Goal)}
	return c.ladder.Secure(ctx, s, want, func(st lock.Step) {
		report(enforce.Step{Rung: string(st.Rung), Proof: st.Proof, Code: string(st.Code)})
	})
}

// unasked is later than any locker is started.
const unasked = time.Duration(math.MaxInt64)

// Look looks at a lock that nobody here asked for. Where the screen cannot be asked who has it (Wayland) no locker counts: one
// that the user started in a compositor of his own, inside the session, would put the limit off.
func (c climber) Look(ctx context.Context, s session.Session) policy.Proof {
	return c.ladder.Look(ctx, s, unasked)
}

// Hold passes on how a proved lock ended. The words are the same on both sides.
func (c climber) Hold(ctx context.Context, s session.Session) <-chan enforce.Release {
	out := make(chan enforce.Release, 1)
	in := c.ladder.Hold(ctx, s)
	go func() {
		select {
		case r := <-in:
			out <- enforce.Release(r)
		case <-ctx.Done():
		}
	}()
	return out
}

// clientEvents says which event tells of which step, with which code.
var clientEvents = map[lock.ClientCode]enforce.ClientStep{
	lock.ClientAsked:      {Type: audit.ClientClose},
	lock.ClientClosed:     {Type: audit.ClientClosed},
	lock.ClientEnded:      {Type: audit.ClientEnded},
	lock.ClientFailed:     {Type: audit.ClientFailed},
	lock.BusyUntrusted:    {Type: audit.ClientFailed, Code: "busy-untrusted"},
	lock.CacheCleared:     {Type: audit.ClientCleared, Code: "cache"},
	lock.CacheLeft:        {Type: audit.ClientFailed, Code: "cache"},
	lock.ClipboardCleared: {Type: audit.ClientCleared, Code: "clipboard"},
	lock.ClipboardLeft:    {Type: audit.ClientFailed, Code: "clipboard"},
}

func (c climber) CloseClients(ctx context.Context, s session.Session, cs []policy.Client, report func(enforce.ClientStep)) int {
	return c.ladder.CloseClients(ctx, s, cs, func(st lock.ClientStep) {
		out := clientEvents[st.Code]
		out.Client, out.Count = st.Client, st.Count
		if st.Busy && out.Code == "" {
			out.Code = "busy"
		}
		report(out)
	})
}
