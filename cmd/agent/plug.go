package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"stepaway/clock"
	"stepaway/enforce"
	"stepaway/idle"
	"stepaway/link"
	"stepaway/policy"
	"stepaway/policy/file"
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
