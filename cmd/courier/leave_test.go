package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stepaway/audit"
	"stepaway/spool"
)

// A spool is checked in a child of the program, which here is this test.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == checkVerb {
		os.Exit(spool.CheckMain(os.Args[2], os.Stdout))
	}
	os.Exit(m.Run())
}

// gathered makes what an installation has after a while, with so many records that nobody took.
func gathered(t *testing.T, records int) string {
	t.Helper()
	data := t.TempDir()
	for _, path := range []string{"policy.yaml", "policy.d/site.yaml", "agent/policy.good.json", "run/policy/collector.json", "courier/identity/collector.json", "courier/status.json"} {
		path = filepath.Join(data, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if records < 0 {
		return data
	}
	s, _, err := spool.Open(state(filepath.Join(data, "courier")).spool(), spool.Options{Stamp: stamper(), Check: spool.Check})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range records {
		if _, _, err := s.Append([]audit.Event{stamper()(audit.AgentStart)}); err != nil {
			t.Fatal(err)
		}
	}
	return data
}

func paths(t *testing.T, dir string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			path, _ = filepath.Rel(dir, path)
			out = append(out, filepath.ToSlash(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestLeaveKeepsOnlyRecordsThatNobodyHas(t *testing.T) {
	data := gathered(t, 3)
	kept, err := leave(data)
	if err != nil || kept != filepath.Join(data, "courier", "spool") {
		t.Errorf("kept %q, %v", kept, err)
	}
	left := paths(t, data)
	if !slices.Contains(left, "courier/spool/spool.db") || !slices.Contains(left, note) {
		t.Errorf("left %q", left)
	}
	for _, path := range left {
		if path != note && !strings.HasPrefix(path, "courier/spool/") {
			t.Errorf("%s is left", path)
		}
	}
	if text, err := os.ReadFile(filepath.Join(data, note)); err != nil || !strings.Contains(string(text), kept) {
		t.Errorf("the note says %q, %v", text, err)
	}
	if again, err := leave(data); err != nil || again != kept {
		t.Errorf("once more: %q, %v", again, err)
	}
}

func TestLeaveLeavesNothing(t *testing.T) {
	for name, records := range map[string]int{"never ran": -1, "nothing waits": 0} {
		data := gathered(t, records)
		if kept, err := leave(data); err != nil || kept != "" {
			t.Errorf("%s: kept %q, %v", name, kept, err)
		}
		if _, err := os.Stat(data); err == nil {
			t.Errorf("%s: %q is left", name, paths(t, data))
		}
	}
}

// What cannot be read may be the only copy.
func TestLeaveKeepsADamagedSpool(t *testing.T) {
	data := gathered(t, 3)
	path := filepath.Join(data, "courier", "spool", "spool.db")
	if err := os.WriteFile(path, []byte("no spool"), 0o600); err != nil {
		t.Fatal(err)
	}
	if kept, err := leave(data); err != nil || kept == "" {
		t.Errorf("kept %q, %v", kept, err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "no spool" {
		t.Errorf("%q, %v", text, err)
	}
}
