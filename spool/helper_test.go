package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"stepaway/audit"
)

// Verbs of the test binary as a child.
const (
	asCheck    = "check-spool"
	asWriter   = "write-spool"
	asUnsafe   = "write-spool-without-sync"
	asStubborn = "write-spool-again-and-again"
	asOpener   = "open-spool"
	asLooker   = "look-at-spool"
	asScript   = "write-script"
	asLimited  = "write-limited"
)

// children are what this test's program does as a child, by verb; those of one system alone add themselves.
var children = map[string]func(path string) error{}

func TestMain(m *testing.M) {
	if len(os.Args) == 3 {
		if os.Args[1] == asCheck {
			os.Exit(CheckMain(os.Args[2], os.Stdout))
		}
		switch verb := os.Args[1]; verb {
		case asWriter, asUnsafe, asStubborn, asOpener, asLooker:
			children[verb] = func(dir string) error { return asWorker(verb, dir) }
		}
		if do := children[os.Args[1]]; do != nil {
			if err := do(os.Args[2]); err != nil {
				fmt.Println("failed:", err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

func self(t testing.TB) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// open opens a spool, which is closed at the end of the test with no goroutine left.
func open(t testing.TB, dir string, o Options) (*Spool, Report) {
	t.Helper()
	before := runtime.NumGoroutine()
	s, r, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		closeSpool(t, s)
		deadline := time.Now().Add(20 * time.Second)
		for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
			time.Sleep(10 * time.Millisecond)
		}
		if n := runtime.NumGoroutine(); n > before && !t.Failed() {
			t.Errorf("%d goroutines before the spool was opened, %d after it was closed", before, n)
		}
	})
	return s, r
}

func closeSpool(t testing.TB, s *Spool) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// event makes one of the enforcer's events.
func event(run string, n uint64, typ audit.Type) audit.Event {
	e := stamp(typ)
	e.Run, e.N, e.Agent = run, n, "v1"
	return e
}

// events makes from..to of a run.
func events(run string, from, to uint64) []audit.Event {
	var es []audit.Event
	for n := from; n <= to; n++ {
		es = append(es, event(run, n, audit.LockProved))
	}
	return es
}

func mustAppend(t testing.TB, s *Spool, es ...audit.Event) (first, last uint64) {
	t.Helper()
	first, last, err := s.Append(es)
	if err != nil {
		t.Fatal(err)
	}
	return first, last
}

// all reads everything that waits and checks the chain.
func all(t testing.TB, s *Spool) []audit.Event {
	t.Helper()
	st := s.State()
	after, prev := st.Acked, st.AckedHash
	var es []audit.Event
	for {
		rs, err := s.Next(after, 1000, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if len(rs) == 0 {
			return es
		}
		for _, r := range rs {
			e, err := audit.Decode(r.Body)
			if err != nil {
				t.Fatalf("event %d: %v", r.Seq, err)
			}
			if err := audit.Link(prev, after+1, e); err != nil {
				t.Fatal(err)
			}
			if r.Hash != audit.Hash(r.Body) || e.Epoch != st.Epoch {
				t.Fatalf("event %d: wrong hash or epoch", r.Seq)
			}
			after, prev, es = r.Seq, r.Hash, append(es, e)
		}
	}
}

// words gives events as "type run/n" and facts, to compare.
func words(es []audit.Event) []string {
	var ws []string
	for _, e := range es {
		w := string(e.Type)
		if e.Run != "" {
			w += fmt.Sprintf(" %s/%d", e.Run, e.N)
		}
		if f := e.Facts; f != nil {
			w += fmt.Sprintf(" ref=%s %d-%d count=%d %s", f.Ref, f.From, f.To, f.Count, f.Code)
		}
		ws = append(ws, w)
	}
	return ws
}

func wantWords(t testing.TB, s *Spool, want ...string) {
	t.Helper()
	if got := words(all(t, s)); !slices.Equal(got, want) {
		t.Errorf("in the spool:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func ackAll(t testing.TB, s *Spool) {
	t.Helper()
	st := s.State()
	if err := s.Ack(st.Head, st.HeadHash, "proof"); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// asides lists what was set aside in dir.
func asides(t testing.TB, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.bad-*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
}

// memory makes a directory on a file system in memory, for tests that write often and lose no power.
func memory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "stepaway-spool-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
