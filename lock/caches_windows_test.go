package lock

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/windows"

	"stepaway/policy"
)

// fill makes a cache with some entries below the user's directory and returns where.
func fill(t *testing.T, name string) string {
	t.Helper()
	home, err := profileOf(here(t).SID)
	if err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(home, name)
	for _, d := range []string{"a", `a\b`, "c"} {
		if err := os.MkdirAll(filepath.Join(at, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"1", `a\2`, `a\b\3`, `a\b\4`} {
		if err := os.WriteFile(filepath.Join(at, f), []byte(f), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return at
}

// TestCachesAreCleared with the token of the session's user, and the directories themselves stay.
func TestCachesAreCleared(t *testing.T) {
	for _, root := range []bool{false, true} {
		at, beside := fill(t, `AppData\Local\Example EHR\cache`), fill(t, `AppData\Local\Example EHR\settings`)
		readOnly := filepath.Join(at, "read only")
		if err := os.WriteFile(readOnly, nil, 0o400); err != nil {
			t.Fatal(err)
		}
		c := policy.Client{Paths: []string{`C:\no\client.exe`}, AtDeadline: policy.Close,
			Caches: []string{`AppData\Local\Example EHR\cache`, `AppData/Local/not there`}}
		steps, _ := closeAll(t, Options{Root: root}, c)
		left, err := os.ReadDir(at)
		if codes(steps) != "cache-cleared" || steps[0].Count != 8 || err != nil || len(left) != 0 {
			t.Errorf("%v; %v, %v", steps, left, err)
		}
		if left, err := os.ReadDir(beside); err != nil || len(left) != 3 {
			t.Errorf("beside it: %v, %v", left, err)
		}
	}
}

// TestCachesThatAreNone: a file, a way through a file, an account without a directory; and one that is in use.
func TestCachesThatAreNone(t *testing.T) {
	at := fill(t, `AppData\Local\Example EHR\cache`)
	c := policy.Client{Paths: []string{`C:\no\client.exe`}, AtDeadline: policy.Close, Caches: []string{`AppData\Local\Example EHR\cache\1`, `AppData\Local\Example EHR\cache\1\2`}}
	if steps, _ := closeAll(t, Options{}, c); codes(steps) != "cache" || steps[0].Count == 0 {
		t.Error(steps)
	}
	if _, err := os.Stat(filepath.Join(at, "1")); err != nil {
		t.Error(err)
	}
	s, steps := here(t), []ClientStep{}
	s.SID = "S-1-5-21-1-2-3-1001"
	New(Options{Root: true}).CloseClients(t.Context(), s, []policy.Client{c}, func(st ClientStep) { steps = append(steps, st) })
	if codes(steps) != "cache" || steps[0].Count != 2 {
		t.Errorf("nobody's: %v", steps)
	}
	held, err := windows.CreateFile(windows.StringToUTF16Ptr(filepath.Join(at, `a\b\3`)), windows.GENERIC_READ, 0, nil, windows.OPEN_EXISTING, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer windows.CloseHandle(held)
	c.Caches = []string{`AppData\Local\Example EHR\cache`}
	if steps, _ := closeAll(t, Options{}, c); codes(steps) != "cache-cleared cache" || steps[1].Count != 1 {
		t.Errorf("one is in use: %v", steps)
	}
}

// TestSweepEnds with its context.
func TestSweepEnds(t *testing.T) {
	at := fill(t, `AppData\Local\Example EHR\cache`)
	root, err := os.OpenRoot(filepath.Dir(at))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := sweeper{ctx: ctx}
	if err := s.cache(root, "cache"); err != nil || s.left == 0 || s.cleared != 0 {
		t.Errorf("%v, %+v", err, s)
	}
}
