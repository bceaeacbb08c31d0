package main

import (
	"context"

	"github.com/godbus/dbus/v5"

	"stepaway/audit"
	"stepaway/clock"
	"stepaway/enforce"
	"stepaway/lock"
	"stepaway/policy"
	"stepaway/session"
	"stepaway/session/logind"
)

// climber fits the ladder to the loop.
type climber struct{ *lock.Ladder }

func (a *agent) ladder(sessions source) climber {
	o := lock.Options{Root: !a.flags.session, Log: a.log, Now: clock.Now}
	if bus, ok := sessions.(lock.Bus); ok {
		o.Bus = bus
	}
	return climber{lock.New(o)}
}

func (c climber) Secure(ctx context.Context, s session.Session, w enforce.Want, report func(enforce.Step)) policy.Proof {
	want := lock.Want{Proof: w.Proof, Fallback: w.Fallback, Terminate: w.Terminate, Goal: lock.Goal(w.Goal)}
	return c.Ladder.Secure(ctx, s, want, func(st lock.Step) {
		report(enforce.Step{Rung: string(st.Rung), Proof: st.Proof, Code: string(st.Code)})
	})
}

func (c climber) Look(ctx context.Context, s session.Session) policy.Proof {
	return c.Ladder.Look(ctx, s, 0)
}

// Hold passes on how a proved lock ended. The words are the same on both sides.
func (c climber) Hold(ctx context.Context, s session.Session) <-chan enforce.Release {
	out := make(chan enforce.Release, 1)
	in := c.Ladder.Hold(ctx, s)
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
	return c.Ladder.CloseClients(ctx, s, cs, func(st lock.ClientStep) {
		out := clientEvents[st.Code]
		out.Client, out.Count = st.Client, st.Count
		if st.Busy && out.Code == "" {
			out.Code = "busy"
		}
		report(out)
	})
}

// Call passes a call on to the system bus once logind was reached.
func (l *logins) Call(ctx context.Context, dest string, path dbus.ObjectPath, method string, args ...any) ([]any, error) {
	d, err := l.connected(ctx)
	if err != nil {
		return nil, err
	}
	return d.Call(ctx, dest, path, method, args...)
}

var _ lock.Bus = (*logind.Logind)(nil)
