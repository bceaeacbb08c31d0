package asuser

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const somebody = 4321

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// What is done has the user's rights and none of root's; afterwards no thread is left that has.
func TestDo(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("acting as another user needs root")
	}
	path := filepath.Join(t.TempDir(), "roots")
	must(t, os.WriteFile(path, []byte("secret"), 0o640))
	for range 50 {
		var status, group string
		var opened error
		must(t, Do(somebody, NoGroup, func() {
			_, opened = os.ReadFile(path)
			b, _ := os.ReadFile("/proc/thread-self/status")
			status = string(b)
			group = status[strings.Index(status, "Groups:"):]
			group, _, _ = strings.Cut(group, "\n")
		}))
		if !errors.Is(opened, os.ErrPermission) {
			t.Fatalf("root's file: %v", opened)
		}
		for _, want := range []string{"Uid:\t0\t4321\t0\t4321\n", "Gid:\t0\t65534\t0\t65534\n", "CapEff:\t0000000000000000\n"} {
			if !strings.Contains(status, want) {
				t.Fatalf("want %q in\n%s", want, status)
			}
		}
		if strings.TrimSpace(group) != "Groups:" {
			t.Fatalf("it kept %s", group)
		}
	}
	if unix.Geteuid() != 0 {
		t.Error("this process is not root's any more")
	}
	for end := time.Now().Add(10 * time.Second); foreign(t) != ""; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("a thread is left:\n%s", foreign(t))
		}
	}
}

// foreign is a thread of ours that has not all of root's ids, or "".
func foreign(t *testing.T) string {
	t.Helper()
	threads, err := filepath.Glob("/proc/self/task/*/status")
	must(t, err)
	for _, path := range threads {
		if status, err := os.ReadFile(path); err == nil && !strings.Contains(string(status), "Uid:\t0\t0\t0\t0\n") {
			return string(status)
		}
	}
	return ""
}

// The thread that has the process's number cannot end, so it is never the one.
func TestTheMainThreadIsSpared(t *testing.T) {
	must(t, Do(somebody, NoGroup, func() {
		if unix.Gettid() == unix.Getpid() {
			t.Error("done on the main thread")
		}
	}))
	b, err := os.ReadFile("/proc/self/status")
	if err != nil || !strings.Contains(string(b), "Uid:\t0\t0\t0\t0\n") {
		t.Errorf("%v, %s", err, b)
	}
}
