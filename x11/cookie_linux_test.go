package x11

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
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

// A device is not even opened: the opening of a pipe is seen at its other end.
func TestReadCookieOpensNoDevice(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	check(t, syscall.Mkfifo(fifo, 0o600))
	opened := make(chan struct{})
	go func() {
		f, err := os.OpenFile(fifo, os.O_WRONLY, 0) // waits for a reader
		close(opened)
		if err == nil {
			f.Close()
		}
	}()
	waitBlocked(t)
	_, err := ReadCookie(fifo, ":3")
	select {
	case <-opened:
		t.Error("the pipe was opened")
	case <-time.After(100 * time.Millisecond):
	}
	if err == nil {
		t.Error("a pipe was read")
	}
	f, err := os.OpenFile(fifo, os.O_RDONLY|syscall.O_NONBLOCK, 0) // lets the writer go
	check(t, err)
	f.Close()
	<-opened
}

// waitBlocked waits until a thread of this process waits for the other end of a pipe.
func waitBlocked(t *testing.T) {
	t.Helper()
	for range 500 {
		tasks, _ := filepath.Glob("/proc/self/task/*/wchan")
		for _, name := range tasks {
			if b, _ := os.ReadFile(name); strings.Contains(string(b), "wait_for_partner") {
				return
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Log("the kernel does not tell where a thread waits")
}
