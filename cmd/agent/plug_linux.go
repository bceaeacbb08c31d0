package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"stepaway/clock"
	"stepaway/enforce"
	"stepaway/idle"
	"stepaway/link"
	"stepaway/policy"
	"stepaway/policy/file"
	"stepaway/session"
	"stepaway/session/logind"
)

// The types of this file fit the edges to the interfaces that the loop declares.

type systemClock struct{}

func (systemClock) Now() time.Duration      { return clock.Now() }
func (systemClock) Asleep() time.Duration   { return clock.Asleep() }
func (systemClock) Wall() (time.Time, bool) { return time.Now().Round(0), clock.Synced() }

type wake struct {
	*clock.Timer
	log *slog.Logger
}

func (w wake) Set(at time.Duration) {
	if err := w.Timer.Set(at); err != nil {
		w.log.Error("timer not set", "error", err)
	}
}

type sight struct{ *idle.Watch }

func (s sight) Latest(id string) (enforce.Input, bool) {
	in, ok := s.Watch.Latest(id)
	return enforce.Input{At: in.At, InjectedCount: in.InjectedCount, Readable: in.Readable}, ok
}

func (s sight) Choice(id string) (source, why string) {
	c := s.Watch.Choice(id)
	return c.Source, c.Why
}

// source is what tells who is logged on.
type source interface {
	enforce.Sessions
	Close()
}

func (a *agent) sessions() source {
	if a.flags.session {
		return ownSession{}
	}
	return &logins{changed: make(chan struct{}, 1), o: logind.Options{Groups: a.paths.groups(), Log: a.log}}
}

// ownSession is the caller's own session, for run --session.
type ownSession struct{}

func (ownSession) Snapshot(context.Context) ([]session.Session, error) {
	s, err := logind.Own()
	if err != nil {
		return nil, err
	}
	return []session.Session{s}, nil
}

func (ownSession) Changed() <-chan struct{} { return nil }
func (ownSession) Close()                   {}

// logins asks logind, connecting when it is there: the agent may start before the bus.
type logins struct {
	changed chan struct{}
	o       logind.Options
	mu      sync.Mutex
	logind  *logind.Logind
}

func (l *logins) Snapshot(ctx context.Context) ([]session.Session, error) {
	d, err := l.connected(ctx)
	if err != nil {
		return nil, err
	}
	return d.Snapshot(ctx)
}

func (l *logins) connected(ctx context.Context) (*logind.Logind, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.logind != nil {
		return l.logind, nil
	}
	d, err := l.o.Dial(ctx)
	if err == nil {
		l.logind = d
	}
	return d, err
}

// Changed is the hint of logind once it is connected; until then the loop asks again by itself.
func (l *logins) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.logind == nil {
		return nil
	}
	return l.logind.Changed()
}

func (l *logins) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.logind != nil {
		l.logind.Close()
	}
}

// sleeps tells the service of sleep that begins; a session of its own only has what its desktop does.
func (a *agent) sleeps(ctx context.Context) <-chan enforce.Sleep {
	if a.flags.session {
		return nil
	}
	out := make(chan enforce.Sleep)
	a.work.Go(func() {
		defer close(out)
		for s := range logind.Sleeps(ctx, a.log) {
			select {
			case out <- enforce.Sleep(s):
			case <-ctx.Done():
			}
		}
	})
	return out
}

// logPolicy says on standard error what is in force and everything that is wrong, once for each change.
func (a *agent) logPolicy(v file.Verdict) {
	said := fmt.Sprint(v.Loaded.Policy.Hash(), v.Err)
	if said == a.saidOfPolicy {
		return
	}
	a.saidOfPolicy = said
	if v.Err == nil {
		a.log.Info("policy in force", "from", v.From, "hash", v.Loaded.Policy.Hash()[:12])
		return
	}
	var ps policy.Problems
	if errors.As(v.Err, &ps) {
		for _, p := range ps {
			a.log.Error("policy not taken", "problem", p.String())
		}
	}
	a.log.Error("policy not taken; correct it and save, the agent reads it again", "error", v.Err, "in force", v.From)
}

// codeOf is the word for why the policy's files were not taken, "" if they were.
func codeOf(v file.Verdict) string {
	var ps policy.Problems
	switch {
	case v.Err == nil || v.From == "files":
		return ""
	case errors.As(v.Err, &ps):
		return "invalid"
	case errors.Is(v.Err, file.ErrUnapproved):
		return "unapproved"
	case errors.Is(v.Err, file.ErrOld):
		return "old"
	case errors.Is(v.Err, file.ErrUnsafe):
		return "unsafe"
	case errors.Is(v.Err, fs.ErrNotExist):
		return "missing"
	default:
		return "unreadable"
	}
}

// drainFor is how long a stopping agent waits for the courier to take its last events.
const drainFor = 2 * time.Second

// drain gives the courier a moment to store what is left.
func drain(o *link.Outbox) {
	for end := time.Now().Add(drainFor); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if _, waiting, _ := o.Counts(); waiting == 0 {
			return
		}
	}
}
