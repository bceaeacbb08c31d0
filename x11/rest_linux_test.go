package x11

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// shake lets xdotool move the pointer some hundred times a second until the test ends.
func shake(t *testing.T, display, authority string) {
	cmd := exec.Command("sh", "-c", "while :; do xdotool mousemove_relative 20 20 sleep 0.005 mousemove_relative 20 5 sleep 0.005 mousemove_relative -- -20 -20 sleep 0.005 mousemove_relative -- -20 -5 sleep 0.005; done")
	cmd.Env = append(os.Environ(), "DISPLAY="+display, "XAUTHORITY="+authority)
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL); _ = cmd.Wait() })
}

// wakes counts how often this process gave up the processor while the reader of c sleeps, and how many events came meanwhile.
func wakes(t *testing.T, c *Conn) (switches int64, events int) {
	for _, err := range []error{c.InitInput2(), c.SelectRawInput(), c.Sync()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Next(within(t)); err != nil {
		t.Fatal(err)
	}
	var before, after unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &before)
	time.Sleep(1500 * time.Millisecond)
	_ = unix.Getrusage(unix.RUSAGE_SELF, &after)
	for {
		_, ok, err := c.Pending()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return after.Nvcsw - before.Nvcsw, events
		}
		events++
	}
}

// TestRestingConnectionWakesNobody while its reader sleeps and a pointer moves, as one of package net does.
func TestRestingConnectionWakesNobody(t *testing.T) {
	display, authority := xvfb(t)
	shake(t, display, authority)
	plain := dial(t, display, authority)
	watched, came := wakes(t, plain)
	plain.Close()
	resting := dial(t, display, authority)
	if err := resting.Rest(); err != nil {
		t.Fatal(err)
	}
	alone, cameToo := wakes(t, resting)
	t.Logf("voluntary switches: %d with %d events on a connection of package net, %d with %d on a resting one", watched, came, alone, cameToo)
	if came < 30 || cameToo < 30 || watched < int64(came)/3 {
		t.Fatal("this test shows nothing")
	}
	if alone > watched/4 {
		t.Errorf("woken %d times while the reader slept, else %d", alone, watched)
	}
}

// TestRestingConnectionIsOne: requests, waits that are cut short, whose the server is, and the end.
func TestRestingConnectionIsOne(t *testing.T) {
	c := dialNew(t)
	if err := c.Rest(); err != nil {
		t.Fatal(err)
	}
	if pid, uid, err := c.Server(); err != nil || pid <= 0 || uid != uint32(os.Getuid()) {
		t.Errorf("server %d of %d, %v", pid, uid, err)
	}
	for range 200 {
		if _, err := c.InternAtom("WM_PROTOCOLS"); err != nil {
			t.Fatal(err)
		}
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Next(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a wait with nothing to come ended with %v", err)
	}
	if _, err := c.QueryTree(c.Screen.Root); err != nil {
		t.Errorf("after a wait that was cut short: %v", err)
	}
	ended := make(chan error, 1)
	go func() { _, err := c.Next(context.Background()); ended <- err }()
	time.Sleep(50 * time.Millisecond)
	c.Close()
	if err := <-ended; err == nil {
		t.Error("a wait outlived the connection")
	}
	if _, err := c.InternAtom("X"); err == nil {
		t.Error("a closed connection answers")
	}
}
