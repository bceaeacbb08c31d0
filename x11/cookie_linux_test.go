package x11

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestReadCookieTakesOnlyPlainFiles(t *testing.T) {
	dir := t.TempDir()
	good, link, fifo, big := filepath.Join(dir, "good"), filepath.Join(dir, "link"), filepath.Join(dir, "fifo"), filepath.Join(dir, "big")
	writeAuthority(t, good, strings.Repeat("aa", 16))
	check(t, os.Symlink(good, link))
	check(t, syscall.Mkfifo(fifo, 0o600))
	check(t, os.WriteFile(big, make([]byte, maxXauthority+1), 0o600))
	me := uint32(os.Getuid())
	if _, err := ReadCookie(good, ":3", me); err != nil {
		t.Errorf("a plain file: %v", err)
	}
	if _, err := ReadCookie(good, ":3"); err != nil {
		t.Errorf("a plain file of anybody: %v", err)
	}
	if _, err := ReadCookie(good, ":3", me+1); err == nil {
		t.Error("a file of another user was read")
	}
	for _, bad := range []string{link, fifo, big, dir, filepath.Join(dir, "none"), "/dev/tty", "/dev/zero"} {
		if _, err := ReadCookie(bad, ":3"); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
}
