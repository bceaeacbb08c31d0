package whole

import (
	"image"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"stepaway/audit"
	"stepaway/link"
	"stepaway/test/rig"
)

// Input takes the warning back, whatever it is; a pointer that trembles is no input.
func TestSessionInputPutsTheLockOff(t *testing.T) {
	s := open(t, panel)
	s.run()
	inputs := []struct {
		name string
		give func()
	}{
		{"a key", func() { s.xdo("key", "a") }},
		{"a click", func() { s.xdo("click", "1") }},
		{"a move", func() { s.xdo("mousemove_relative", "--", "-200", "90") }},
		{"Continue on the notification", func() { s.notified("1"); s.xdo("mousemove", "1030", "80", "click", "1") }},
	}
	for i, in := range inputs {
		s.phase(link.Warned)
		in.give()
		s.phase(link.Active)
		cleared := s.await(audit.WarningCleared, i+1)
		s.between(in.name+": warning.cleared idle_ms", cleared.Facts.IdleMS, 0, late)
		s.notified("0")
	}
	stop := s.tremble()
	defer stop()
	s.locksOnTime()
	if n := len(only(s.events(), audit.WarningCleared)); n != len(inputs) {
		t.Errorf("%d warnings cleared, want %d", n, len(inputs))
	}
	s.whole()
}

// tremble moves the pointer to and fro by three pixels, until stop.
func (s *site) tremble() (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			for _, way := range []string{"3", "-3"} {
				_ = s.desk.Run("xdotool", "mousemove_relative", "--", way, "0")
			}
			select {
			case <-end:
				return
			case <-time.After(150 * time.Millisecond):
			}
		}
	}()
	return sync.OnceFunc(func() { close(end); <-ended })
}

// The button of xfce4-notifyd: the click on it is the input.
func TestSessionContinueOnXfce(t *testing.T) {
	s := open(t, bus)
	const path = "/usr/lib/x86_64-linux-gnu/xfce4/notifyd/xfce4-notifyd"
	if _, err := os.Stat(path); err != nil {
		t.Fatal("xfce4-notifyd is not installed: run `make deps`")
	}
	if _, err := s.desk.Launch("notifyd", path); err != nil {
		t.Fatal(err)
	}
	rig.WaitFor(t, "xfce4-notifyd", s.serviceOwned)
	s.run()
	s.phase(link.Warned)
	var box image.Rectangle
	rig.WaitFor(t, "the bubble", func() bool { box = s.window("xfce4-notifyd"); return box.Dx() > 100 && box.Dy() > 40 })
	s.shot("bubble")
	s.xdo("mousemove", itoa(box.Max.X-60), itoa(box.Max.Y-30), "sleep", "0.2", "click", "1")
	cleared := s.await(audit.WarningCleared, 1)
	s.between("warning.cleared idle_ms", cleared.Facts.IdleMS, 0, late)
	rig.WaitFor(t, "the bubble to go", func() bool { return s.window("xfce4-notifyd").Empty() })
	s.locksOnTime()
	s.whole()
}

// serviceOwned reports whether somebody on the session bus shows notifications.
func (s *site) serviceOwned() bool {
	out, err := s.desk.Command("dbus-send", "--session", "--print-reply", "--dest=org.freedesktop.DBus", "/",
		"org.freedesktop.DBus.NameHasOwner", "string:"+notifications).Output()
	return err == nil && strings.Contains(string(out), "boolean true")
}

// window is where the largest visible window of a class is, or nothing.
func (s *site) window(class string) (largest image.Rectangle) {
	out, err := s.desk.Command("xdotool", "search", "--onlyvisible", "--class", class, "getwindowgeometry", "--shell", "%@").Output()
	if err != nil {
		return image.Rectangle{}
	}
	v := map[string]int{}
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		v[name], _ = strconv.Atoi(value)
		w := image.Rect(v["X"], v["Y"], v["X"]+v["WIDTH"], v["Y"]+v["HEIGHT"])
		if name == "HEIGHT" && w.Dx()*w.Dy() > largest.Dx()*largest.Dy() {
			largest = w
		}
	}
	return largest
}

const (
	notifications = "org.freedesktop.Notifications"
	notifyPath    = dbus.ObjectPath("/org/freedesktop/Notifications")
)

// liar owns the service's name on the user's bus, and answers "continue" to everything at once.
type liar struct {
	conn  *dbus.Conn
	mu    sync.Mutex
	asked int
}

// Notify is called over the bus.
func (l *liar) Notify(_ string, _ uint32, _, _, _ string, actions []string, _ map[string]dbus.Variant, _ int32) (uint32, *dbus.Error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	for i := 0; i < len(actions); i += 2 {
		action := actions[i]
		time.AfterFunc(20*time.Millisecond, func() { _ = l.conn.Emit(notifyPath, notifications+".ActionInvoked", uint32(1), action) })
	}
	return 1, nil
}

// GetCapabilities is called over the bus.
func (l *liar) GetCapabilities() ([]string, *dbus.Error) {
	return []string{"actions", "body", "persistence"}, nil
}

// CloseNotification is called over the bus.
func (l *liar) CloseNotification(uint32) *dbus.Error { return nil }

func (l *liar) times() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

// The attack: the user's own notification service presses "Continue" by itself. Nothing is put off.
func TestSessionAttackServiceThatContinues(t *testing.T) {
	s := open(t, bus)
	address := ""
	for _, v := range s.desk.Command("true").Env {
		if a, ok := strings.CutPrefix(v, "DBUS_SESSION_BUS_ADDRESS="); ok {
			address = a
		}
	}
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	l := &liar{conn: conn}
	if err := conn.Export(l, notifyPath, notifications); err != nil {
		t.Fatal(err)
	}
	if r, err := conn.RequestName(notifications, dbus.NameFlagDoNotQueue); err != nil || r != dbus.RequestNameReplyPrimaryOwner {
		t.Fatalf("own the service's name: %v %v", r, err)
	}
	s.run()
	s.locksOnTime()
	if l.times() == 0 {
		t.Error("the service was asked for nothing, so it lied about nothing")
	}
	if n := len(only(s.events(), audit.WarningCleared)); n > 0 {
		t.Errorf("%d warnings cleared by a lie", n)
	}
	s.whole()
}
