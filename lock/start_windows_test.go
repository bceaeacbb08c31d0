package lock

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestStart starts a program as the session's user, with what was given and no more than once.
func TestStart(t *testing.T) {
	for _, root := range []bool{false, true} {
		dir := t.TempDir()
		path, said := install(t, filepath.Join(dir, "the tray.exe")), filepath.Join(dir, "said")
		l := New(Options{Root: root})
		for range 2 {
			if err := l.Start(t.Context(), here(t), "tray", []string{path, startedArgument, said, `two words "quoted"`}); err != nil {
				t.Fatal(err)
			}
		}
		s := here(t)
		want := strings.Join([]string{s.ID, s.SID, dir, `two words "quoted"`}, "\n")
		var got []byte
		for end := time.Now().Add(long); time.Now().Before(end) && len(got) == 0; time.Sleep(20 * time.Millisecond) {
			got, _ = os.ReadFile(said)
		}
		if string(got) != want {
			t.Errorf("root %v: %q, want %q", root, got, want)
		}
		if n := len(processesAt(t, path)); n != 1 {
			t.Errorf("root %v: %d are started", root, n)
		}
		for _, p := range l.started {
			end([]held{p})
			_ = p.Wait(t.Context())
		}
		if l.runs(s.ID+" tray") || len(l.started) != 0 {
			t.Errorf("one that has ended runs")
		}
	}
}

func TestStartThatFails(t *testing.T) {
	l, s := New(Options{Root: true}), here(t)
	for _, argv := range [][]string{nil, {"tray.exe"}, {`C:\not there\tray.exe`}} {
		if err := l.Start(t.Context(), s, "tray", argv); err == nil {
			t.Errorf("%q is started", argv)
		}
	}
	s.SID = "S-1-5-21-1-2-3-1001"
	if err := l.Start(t.Context(), s, "tray", []string{`C:\windows\system32\cmd.exe`}); err == nil || !strings.Contains(err.Error(), "another user's") {
		t.Errorf("in another user's session: %v", err)
	}
}
