package doctor

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Verdict of one finding.
type Verdict string

const (
	OK   Verdict = "ok"
	Note Verdict = "note" // worth knowing, or could not be looked at
	Warn Verdict = "warn" // weak, or may be; IT should look
	Fail Verdict = "fail" // sessions are not locked, or open without a password, or records do not leave
)

// Finding is what one look found.
type Finding struct {
	ID      string  `json:"id"` // the check's
	Verdict Verdict `json:"verdict"`
	Saw     string  `json:"saw"`
	Do      string  `json:"do,omitempty"` // what to do, empty if nothing
}

// check is one thing that is looked at. It answers by findings without ID; none is as good as ok.
type check struct {
	id    string
	about string // for the documentation: what it looks at
	means string // and what it means if that is not as it should be
	look  func(context.Context, *Machine) []Finding
}

// within is how long one check may take.
const within = 15 * time.Second

// Diagnose makes every check, all at once, and gives their findings in the order of the table.
func Diagnose(ctx context.Context, m *Machine) []Finding { return diagnose(ctx, m, checks, within) }

func diagnose(ctx context.Context, m *Machine, all []check, within time.Duration) []Finding {
	found := make([][]Finding, len(all))
	var wg sync.WaitGroup
	for i, c := range all {
		wg.Go(func() { found[i] = c.bounded(ctx, m, within) })
	}
	wg.Wait()
	return slices.Concat(found...)
}

// bounded makes one check. One that hangs, on a dead file system for instance, is left behind.
func (c check) bounded(ctx context.Context, m *Machine, within time.Duration) []Finding {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	done := make(chan []Finding, 1)
	go func() { done <- c.look(ctx, m) }()
	var fs []Finding
	select {
	case fs = <-done:
	case <-ctx.Done():
		fs = []Finding{warn("look at whether a file system or the bus hangs, and run doctor again", "no answer within %v", within)}
	}
	if len(fs) == 0 {
		fs = []Finding{ok("nothing to say")}
	}
	for i := range fs {
		fs[i].ID = c.id
	}
	return fs
}

// Failed reports whether anything fails.
func Failed(fs []Finding) bool {
	return slices.ContainsFunc(fs, func(f Finding) bool { return f.Verdict == Fail })
}

func ok(saw string, a ...any) Finding {
	return Finding{Verdict: OK, Saw: fmt.Sprintf(saw, a...)}
}

func note(do, saw string, a ...any) Finding {
	return Finding{Verdict: Note, Saw: fmt.Sprintf(saw, a...), Do: do}
}

func warn(do, saw string, a ...any) Finding {
	return Finding{Verdict: Warn, Saw: fmt.Sprintf(saw, a...), Do: do}
}

func fail(do, saw string, a ...any) Finding {
	return Finding{Verdict: Fail, Saw: fmt.Sprintf(saw, a...), Do: do}
}
