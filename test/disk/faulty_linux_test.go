package disk

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFaulty: files can be made, written, renamed, listed and removed, and what is to fail does.
func TestFaulty(t *testing.T) {
	f := NewFaulty(t)
	sh := func(script string) string {
		out, _ := exec.Command("/bin/sh", "-c", `cd "$0" || exit; `+script, f.Dir).CombinedOutput()
		return strings.TrimSpace(string(out))
	}
	if got := sh(`mkdir a && echo one >a/x && mv a/x a/y && echo two >>a/y && ls a && cat a/y && rm a/y && rmdir a && ls`); got != "y\none\ntwo" {
		t.Errorf("%q", got)
	}
	var seen []string
	f.Before(func(op Op) (int, syscall.Errno) {
		seen = append(seen, op.Kind+" "+op.Path)
		if op.Kind == Write {
			return 2, unix.EIO
		}
		return 0, 0
	})
	if got := sh(`mkdir b; echo three >b/x`); !strings.Contains(got, "I/O error") {
		t.Errorf("%q", got)
	}
	f.Before(nil)
	if got := strings.Join(seen, ", "); got != "create b, create b/x, write b/x" {
		t.Errorf("asked: %s", got)
	}
	to := filepath.Join(t.TempDir(), "copy")
	if err := f.Copy(to); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(to, "b", "x")); err != nil || string(b) != "th" {
		t.Errorf("%q, %v", b, err)
	}
	f.Clear()
	if got := sh("ls"); got != "" {
		t.Errorf("after Clear: %s", got)
	}
}
