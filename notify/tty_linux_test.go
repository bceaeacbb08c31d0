package notify

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openPTY returns the descriptor, which does not block, of a terminal emulator's side, and the terminal's name
// below /dev.
func openPTY(t *testing.T) (master int, tty string) {
	t.Helper()
	master = open(t, "/dev/ptmx")
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	return master, fmt.Sprintf("pts/%d", n)
}

func open(t *testing.T, path string) int {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func readAll(fd int) string {
	var out bytes.Buffer
	b := make([]byte, 4096)
	for {
		n, err := unix.Read(fd, b)
		if n <= 0 || err != nil {
			return out.String()
		}
		out.Write(b[:n])
	}
}

func TestWriteTTY(t *testing.T) {
	master, tty := openPTY(t)
	open(t, "/dev/"+tty) // somebody uses it
	line := "locks in 4:32\x1b[2J\x07\x9b\r\nrm -rf\x00 \u202eevil\xff ¡está!\x7f"
	if err := WriteTTY(tty, uint32(os.Getuid()), line); err != nil {
		t.Fatal(err)
	}
	got := strings.ReplaceAll(readAll(master), "\r\r\n", "\r\n") // the terminal adds its own \r
	if want := "\a\r\nlocks in 4:32[2Jrm -rf evil ¡está!\r\n"; got != want {
		t.Errorf("terminal got %q, want %q", got, want)
	}
}

func TestWriteTTYRefuses(t *testing.T) {
	_, tty := openPTY(t)
	if err := os.Chmod("/dev/"+tty, 0o666); err != nil { // who may write on it is not yet its owner
		t.Fatal(err)
	}
	if err := WriteTTY(tty, uint32(os.Getuid())+1, "x"); err == nil || !strings.Contains(err.Error(), "belongs to uid") {
		t.Errorf("another user's terminal: %v", err)
	}
	for _, bad := range []string{"", "/dev/" + tty, "../etc/passwd", "pts/../null", "null", "no-such-terminal", "pts"} {
		if err := WriteTTY(bad, uint32(os.Getuid()), "x"); err == nil {
			t.Errorf("%q was written on", bad)
		}
	}
	dir := t.TempDir()
	link, file := filepath.Join(dir, "link"), filepath.Join(dir, "file")
	if err := errors.Join(os.Symlink("/dev/"+tty, link), os.WriteFile(file, []byte("kept"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := writeTTY(link, uint32(os.Getuid()), "x"); !errors.Is(err, unix.ELOOP) {
		t.Errorf("a link: %v", err)
	}
	if err := writeTTY(file, uint32(os.Getuid()), "x"); err == nil {
		t.Error("a file was written on")
	}
	if b, _ := os.ReadFile(file); string(b) != "kept" {
		t.Errorf("the file now holds %q", b)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeTTY(fifo, uint32(os.Getuid()), "x"); err == nil {
		t.Error("a pipe was written on")
	}
}

func TestFullTerminalDoesNotBlock(t *testing.T) {
	_, tty := openPTY(t)
	fd := open(t, "/dev/"+tty)
	for quiet := 0; quiet < 20; quiet++ { // the kernel moves what was written along for a while
		for n := 4096; n > 0; {
			if _, err := unix.Write(fd, make([]byte, n)); err != nil {
				n /= 2
			} else {
				quiet = 0
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	done := make(chan error, 1)
	go func() { done <- WriteTTY(tty, uint32(os.Getuid()), "locks soon") }()
	select {
	case err := <-done:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a full terminal: %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("a full terminal blocks")
	}
}

func TestLongLineIsCut(t *testing.T) {
	if got := terminalLine(strings.Repeat("ñ", 5000)); len([]rune(got)) != maxLine {
		t.Errorf("%d characters", len([]rune(got)))
	}
}
