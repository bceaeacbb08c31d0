package file

import (
	"context"
	"os"
	"runtime"
	"testing"
	"time"
)

// waits is generous: these tests also run on busy machines.
const waits = 20 * time.Second

// rest is how long changes rest in these tests.
const rest = 20 * time.Millisecond

func heard(t *testing.T, what string, changed <-chan struct{}) {
	t.Helper()
	select {
	case _, open := <-changed:
		if !open {
			t.Fatalf("%s: the channel is closed", what)
		}
	case <-time.After(waits):
		t.Fatalf("%s: not told", what)
	}
}

// calm waits until nothing is told any more.
func calm(changed <-chan struct{}) {
	for {
		select {
		case <-changed:
		case <-time.After(10 * rest):
			return
		}
	}
}

func TestWatch(t *testing.T) {
	p := aPlace(t)
	d := p.dir + "/etc/policy.d/"
	p.put(t, "limit: 10m")
	ctx, stop := context.WithCancel(t.Context())
	changed, err := p.s.watch(ctx, rest, absent)
	must(t, err)
	for _, step := range []struct {
		what string
		do   func()
	}{
		{"written", func() { p.put(t, "limit: 9m") }},
		{"renamed over", func() {
			put(t, p.dir+"/next", "limit: 8m")
			must(t, os.Rename(p.dir+"/next", p.s.Path))
		}},
		{"mode changed", func() { must(t, os.Chmod(p.s.Path, 0o666)); must(t, os.Chmod(p.s.Path, 0o644)) }},
		{"policy.d made", func() { must(t, os.Mkdir(d, 0o755)) }},
		{"file added", func() { put(t, d+"10.yaml", "limit: 7m") }},
		{"file changed", func() { put(t, d+"10.yaml", "limit: 6m") }},
		{"file removed", func() { must(t, os.Remove(d+"10.yaml")) }},
		{"edited", func() { // as vim does: backup by rename, new file, backup removed
			must(t, os.Rename(p.s.Path, p.s.Path+"~"))
			p.put(t, "limit: 5m")
			must(t, os.Remove(p.s.Path+"~"))
		}},
		{"removed", func() { must(t, os.Remove(p.s.Path)) }},
		{"policy.d replaced", func() { must(t, os.Rename(d, p.dir+"/old")); put(t, d+"1.yaml", "") }},
		{"file added to the new one", func() { put(t, d+"10.yaml", "limit: 7m") }},
	} {
		step.do()
		heard(t, step.what, changed)
		calm(changed)
	}
	stop()
	for end := time.After(waits); ; {
		select {
		case _, open := <-changed:
			if !open {
				return
			}
		case <-end:
			t.Fatal("Watch goes on after its context")
		}
	}
}

// TestWatchSeesTheNewest writes many times; the last look must come after the last write.
func TestWatchSeesTheNewest(t *testing.T) {
	p := aPlace(t)
	changed, err := p.s.watch(t.Context(), rest, absent)
	must(t, err)
	for range 500 {
		p.put(t, "limit: 9m")
	}
	p.put(t, "limit: 7m")
	for end := time.Now().Add(waits); ; {
		heard(t, "500 changes", changed)
		if l, err := (Site{Files: p.s}).Load(); err == nil && l.Policy.Limit == 7*m {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the last change was not told")
		}
	}
}

// TestWatchOfAMissingDirectory: the directory comes, goes and comes again.
func TestWatchOfAMissingDirectory(t *testing.T) {
	p := aPlace(t)
	must(t, os.RemoveAll(p.dir+"/etc"))
	changed, err := p.s.watch(t.Context(), rest, rest)
	must(t, err)
	select {
	case <-changed:
		t.Fatal("told of nothing")
	case <-time.After(10 * rest):
	}
	for range 2 {
		p.put(t, "limit: 9m")
		heard(t, "directory made", changed)
		calm(changed)
		p.put(t, "limit: 8m")
		heard(t, "file written", changed)
		calm(changed)
		must(t, os.RemoveAll(p.dir+"/etc"))
		heard(t, "directory removed", changed)
		calm(changed)
	}
	p.put(t, "limit: 9m")
	heard(t, "made again", changed)
	calm(changed)
	must(t, os.Rename(p.dir+"/etc", p.dir+"/old"))
	heard(t, "moved away", changed)
	calm(changed)
	p.put(t, "limit: 9m")
	heard(t, "another in its place", changed)
}

func TestWatchLeavesNothing(t *testing.T) {
	p := aPlace(t)
	fds := func() int {
		l, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		return len(l)
	}
	wasFDs, wasRoutines := fds(), runtime.NumGoroutine()
	for i := range 20 {
		ctx, stop := context.WithCancel(t.Context())
		changed, err := p.s.watch(ctx, rest, absent)
		must(t, err)
		if i%2 == 0 {
			p.put(t, "limit: 9m") // ends while a change is told
		}
		stop()
		for range changed {
		}
	}
	put(t, p.dir+"/file", "")
	if _, err := (Source{Path: p.dir + "/file/policy.yaml"}).Watch(t.Context()); err == nil {
		t.Error("watches below a file")
	}
	for end := time.Now().Add(waits); fds() > wasFDs || runtime.NumGoroutine() > wasRoutines; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("descriptors %d -> %d, goroutines %d -> %d", wasFDs, fds(), wasRoutines, runtime.NumGoroutine())
		}
	}
}
