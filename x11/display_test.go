package x11

import (
	"bufio"
	"context"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// xvfb starts a server of its own number with a cookie, and returns its display and the cookie's file.
func xvfb(t testing.TB, args ...string) (display, authority string) {
	t.Helper()
	authority = filepath.Join(t.TempDir(), "Xauthority")
	writeAuthority(t, authority, strings.Repeat("5a", 16))
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command("Xvfb", append([]string{"-displayfd", "3", "-auth", authority, "-noreset", "-nolisten", "tcp", "-screen", "0", "800x600x24"}, args...)...)
	cmd.ExtraFiles = []*os.File{w}
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting Xvfb (run `make deps`): %v", err)
	}
	w.Close()
	t.Cleanup(func() { cmd.Process.Signal(syscall.SIGTERM); cmd.Wait() })
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatalf("Xvfb did not start: %v", err)
	}
	return ":" + strings.TrimSpace(line), authority
}

// writeAuthority writes an entry for every display of any host.
func writeAuthority(t testing.TB, path, cookie string) {
	t.Helper()
	secret, err := hex.DecodeString(cookie)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, entry(familyWild, "", "", magicCookie, secret), 0o600); err != nil {
		t.Fatal(err)
	}
}

func dial(t testing.TB, display, authority string) *Conn {
	t.Helper()
	cookie, err := ReadCookie(authority, display, uint32(os.Getuid()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := Dial(ctx, display, cookie)
	if err != nil {
		t.Fatal(err)
	}
	c.SetTimeout(20 * time.Second)
	t.Cleanup(func() { c.Close() })
	return c
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func dialNew(t testing.TB) *Conn {
	display, authority := xvfb(t)
	return dial(t, display, authority)
}
