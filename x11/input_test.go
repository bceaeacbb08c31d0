package x11

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func xdotool(t testing.TB, display, auth string, args ...string) {
	t.Helper()
	cmd := exec.Command("xdotool", args...)
	cmd.Env = append(os.Environ(), "DISPLAY="+display, "XAUTHORITY="+auth)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("xdotool %v: %v %s (run `make deps` if it is missing)", args, err, out)
	}
}

// raw returns a connection that listens to raw input, and the names of the devices.
func raw(t testing.TB, display, auth string) (*Conn, map[uint16]Device) {
	t.Helper()
	c := dial(t, display, auth)
	check(t, c.InitInput2())
	list, err := c.Devices()
	check(t, err)
	check(t, c.SelectRawInput())
	check(t, c.Sync())
	byID := map[uint16]Device{}
	for _, d := range list {
		byID[d.ID] = d
	}
	return c, byID
}

func awaitRaw(t testing.TB, c *Conn, kind RawKind) RawEvent {
	t.Helper()
	for {
		e, err := c.Next(within(t))
		check(t, err)
		if r, ok := c.RawEvent(e); ok && r.Kind == kind {
			return r
		}
	}
}

func TestRawInputNamesItsSource(t *testing.T) {
	display, auth := xvfb(t)
	c, devices := raw(t, display, auth)
	if d := devices[2]; d.Use != MasterPointer || len(devices) < 6 {
		t.Fatalf("devices %v", devices)
	}
	xdotool(t, display, auth, "key", "a")
	if r := awaitRaw(t, c, RawKey); !strings.Contains(devices[r.Source].Name, "XTEST keyboard") || r.Repeat {
		t.Errorf("key from %q: %+v", devices[r.Source].Name, r)
	}
	xdotool(t, display, auth, "click", "1")
	if r := awaitRaw(t, c, RawButton); !strings.Contains(devices[r.Source].Name, "XTEST pointer") {
		t.Errorf("button from %q", devices[r.Source].Name)
	}
	xdotool(t, display, auth, "mousemove_relative", "--", "-7", "5")
	if r := awaitRaw(t, c, RawMotion); r.Axis != [2]float64{-7, 5} || devices[r.Source].Absolute[0] {
		t.Errorf("motion %+v of %+v", r, devices[r.Source])
	}
}

// A locker holds the keyboard and the pointer; input must still be seen.
func TestRawInputArrivesDespiteGrabs(t *testing.T) {
	display, auth := xvfb(t)
	c, _ := raw(t, display, auth)
	lock := exec.Command("i3lock", "-n")
	lock.Env = append(os.Environ(), "DISPLAY="+display, "XAUTHORITY="+auth)
	if err := lock.Start(); err != nil {
		t.Fatalf("starting i3lock (run `make deps`): %v", err)
	}
	defer func() { lock.Process.Kill(); lock.Wait() }()
	probe := dial(t, display, auth)
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		s, err := probe.GrabKeyboard(probe.Screen.Root)
		check(t, err)
		if s == AlreadyGrabbed {
			break
		}
		check(t, probe.UngrabKeyboard())
		check(t, probe.Sync())
		if time.Since(begin) > 20*time.Second {
			t.Fatal("i3lock did not take the keyboard")
		}
	}
	xdotool(t, display, auth, "key", "a")
	awaitRaw(t, c, RawKey)
	xdotool(t, display, auth, "mousemove_relative", "5", "5")
	awaitRaw(t, c, RawMotion)
}

func TestPendingTakesAllThatArrived(t *testing.T) {
	display, auth := xvfb(t)
	c, _ := raw(t, display, auth)
	xdotool(t, display, auth, "key", "a", "key", "b", "key", "c")
	other := dial(t, display, auth)
	check(t, other.Sync()) // the server has dealt with the keys; our events are in the socket
	keys := 0
	for begin := time.Now(); keys < 3 && time.Since(begin) < 20*time.Second; {
		e, ok, err := c.Pending()
		check(t, err)
		if r, is := c.RawEvent(e); ok && is && r.Kind == RawKey {
			keys++
		}
	}
	if keys != 3 {
		t.Errorf("%d keys", keys)
	}
}

func TestIdleCounter(t *testing.T) {
	display, auth := xvfb(t)
	c := dial(t, display, auth)
	list, err := c.Counters()
	check(t, err)
	idle := list[CounterIdle]
	if idle == 0 || list[CounterTime] == 0 {
		t.Fatalf("counters %v", list)
	}
	before, err := c.ServerTime()
	check(t, err)
	alarm, err := c.Alarm(idle, 50, true)
	check(t, err)
	check(t, c.Sync())
	for { // the alarm goes off on the way down, so the counter must have been up
		v, err := c.QueryCounter(idle)
		check(t, err)
		if v > 60 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	xdotool(t, display, auth, "key", "a")
	for {
		e, err := c.Next(within(t))
		check(t, err)
		a, ok := c.AlarmEvent(e)
		if !ok {
			continue
		}
		if a.Alarm != alarm || a.Counter >= 50 || a.Time < uint32(before) {
			t.Errorf("alarm %+v", a)
		}
		return
	}
}
