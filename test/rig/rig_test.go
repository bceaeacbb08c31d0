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
