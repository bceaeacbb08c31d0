package sdnotify

import (
	"net"
	"path/filepath"
	"testing"
	"time"
)

// TestBeat: a service manager that reads has every beat, by path and by abstract name; one that does not read holds nobody up.
func TestBeat(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "notify"), "@stepaway-beat-" + t.Name()} {
		l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		t.Setenv("NOTIFY_SOCKET", name)
		for range 2 {
			if err := Beat(90 * time.Second); err != nil {
				t.Fatal(err)
			}
			var b [64]byte
			if err := l.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if n, err := l.Read(b[:]); err != nil || string(b[:n]) != "WATCHDOG=1\nWATCHDOG_USEC=90000000" {
				t.Errorf("%s: %q, %v", name, b[:n], err)
			}
		}
		for lost := false; !lost; { // nobody reads: it says so, and returns
			lost = Beat(90*time.Second) != nil
		}
	}
	t.Setenv("NOTIFY_SOCKET", "")
	if err := Beat(90 * time.Second); err != nil {
		t.Errorf("without a service manager: %v", err)
	}
}
