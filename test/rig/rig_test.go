//go:build linux

package rig

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestXvfbAnswersAndTwoDoNotClash(t *testing.T) {
	one, two := Xvfb(t), Xvfb(t)
	if one == two {
		t.Fatalf("both servers are %s", one)
	}
	for _, display := range []string{one, two} {
		cmd := exec.Command(Tool(t, "xdpyinfo"))
		cmd.Env = append(os.Environ(), "DISPLAY="+display)
		if out, err := output(cmd); err != nil || !strings.Contains(out, "1280x800") {
			t.Errorf("%s: %v", display, err)
		}
	}
}

func TestBusAnswers(t *testing.T) {
	cmd := exec.Command(Tool(t, "dbus-send"), "--bus="+Bus(t), "--print-reply", "--dest=org.freedesktop.DBus", "/",
		"org.freedesktop.DBus.GetId")
	if out, err := output(cmd); err != nil || !strings.Contains(out, "string") {
		t.Errorf("%q, %v", out, err)
	}
}

func TestTwoContainersBoot(t *testing.T) {
	one, two := Boot(t), Boot(t)
	one.Write("/root/mark", "one", 0o600)
	if _, err := two.Run(t.Context(), "cat", "/root/mark"); err == nil {
		t.Error("what is written in one container is seen in the other")
	}
	if got := one.Must("cat", "/root/mark"); got != "one" {
		t.Errorf("mark is %q", got)
	}
	one.Must("loginctl", "list-sessions")
}

func TestDesktopObeysLock(t *testing.T) {
	c := Boot(t)
	id := c.Desktop("nurse", ObeysLock)
	if kind := c.Property(id, "Type"); kind != "x11" {
		t.Errorf("session %s is of type %q", id, kind)
	}
	c.Must("loginctl", "lock-session", id)
	c.WaitFor("the hint of a lock", func() bool { return c.Property(id, "LockedHint") == "yes" })
}
