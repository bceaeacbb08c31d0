//go:build cgo

package main

import (
	"fmt"
	"image"
	"image/color"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"stepaway/clock"
	"stepaway/link"
	"stepaway/picture"
	"stepaway/test/desktop"
	"stepaway/test/rig"
)

// enforcer is the other end of the link.
type enforcer struct {
	t      *testing.T
	path   string
	mu     sync.Mutex
	conn   net.Conn
	heard  []link.Message
	hellos int
}

func startEnforcer(t *testing.T, path string) *enforcer {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	e := &enforcer{t: t, path: path}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go e.listen(c)
		}
	}()
	return e
}

func (e *enforcer) listen(c net.Conn) {
	defer c.Close()
	for {
		m, err := link.Read(c)
		if err != nil {
			return
		}
		e.mu.Lock()
		if m.Hello != nil {
			e.conn = c
			e.hellos++
		}
		e.heard = append(e.heard, m)
		e.mu.Unlock()
	}
}

func (e *enforcer) count(which func(link.Message) bool) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, m := range e.heard {
		if which(m) {
			n++
		}
	}
	return n
}

func isHello(m link.Message) bool { return m.Hello != nil }
func isBeat(m link.Message) bool  { return m.Beat != nil }
func isLock(m link.Message) bool  { return m.LockNow != nil }

// say tells the tray that it is in phase with left to go.
func (e *enforcer) say(p link.Phase, left time.Duration) {
	e.t.Helper()
	deadline := (clock.Now() + left).Milliseconds()
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := link.Write(e.conn, link.Message{State: &link.State{Session: "self", Phase: p, DeadlineMS: deadline, WarnMS: deadline - 300_000,
		LimitMS: 900_000, WarningMS: 300_000, Action: "lock", Role: "clinical", Source: "evdev", Courier: "up"}}); err != nil {
		e.t.Fatal(err)
	}
}

func (e *enforcer) hangUp() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.conn.Close()
}

var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "tray")
	if err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-o", dir+"/stepaway-tray", ".").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return dir + "/stepaway-tray", err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := build(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

func program(t *testing.T) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// stage is a desktop with the tray on it.
type stage struct {
	t    *testing.T
	desk *desktop.Desktop
	dir  string
	enf  *enforcer
	tray *desktop.Process
}

func newStage(t *testing.T, o desktop.Options) *stage {
	t.Helper()
	dir, err := os.MkdirTemp("", "st")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	o.Width, o.Height = 1280, 800
	d, err := desktop.New(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	d.Setenv("GDK_BACKEND", "x11")
	return &stage{t: t, desk: d, dir: dir, enf: startEnforcer(t, filepath.Join(dir, "link.sock"))}
}

func (s *stage) start() {
	s.t.Helper()
	p, err := s.desk.Launch("tray", program(s.t), "--link", s.enf.path)
	if err != nil {
		s.t.Fatal(err)
	}
	s.tray = p
	s.t.Cleanup(func() {
		if s.t.Failed() {
			s.t.Logf("the tray said: %s", p.Output())
		}
	})
	rig.WaitFor(s.t, "the tray's hello", func() bool { return s.enf.count(isHello) > 0 })
}

// find looks for a colour in a part of the screen.
func find(img image.Image, box image.Rectangle, want color.RGBA) (at image.Point, n int) {
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			r, g, b, _ := img.At(x, y).RGBA()
			if near(r, want.R) && near(g, want.G) && near(b, want.B) {
				at = at.Add(image.Pt(x, y))
				n++
			}
		}
	}
	if n > 0 {
		at = at.Div(n)
	}
	return at, n
}

func near(got uint32, want uint8) bool {
	return int(got>>8)-int(want) < 12 && int(want)-int(got>>8) < 12
}

// The panel of the desktop lies along the bottom.
var panel = image.Rect(0, 766, 1280, 800)

// tint is the colour of an icon.
func tint(i picture.Icon) color.RGBA {
	img := i.Draw(64)
	switch i {
	case picture.Warning:
		return img.RGBAAt(20, 52)
	case picture.Urgent:
		return img.RGBAAt(10, 32)
	}
	return img.RGBAAt(16, 55)
}

// shows waits until the panel shows an icon, and returns where.
func (s *stage) shows(i picture.Icon, name string) (at image.Point) {
	s.t.Helper()
	rig.WaitFor(s.t, "the icon "+name, func() bool {
		n := 0
		at, n = find(rig.Shot(s.t, s.desk.Display, "tray-"+name), panel, tint(i))
		return n >= 20
	})
	return at
}

func (s *stage) click(at image.Point) {
	s.t.Helper()
	rig.Xdo(s.t, s.desk.Display, "mousemove", strconv.Itoa(at.X), strconv.Itoa(at.Y))
	time.Sleep(300 * time.Millisecond)
	rig.Xdo(s.t, s.desk.Display, "click", "1")
}

func (s *stage) displayed() string {
	out, _ := s.desk.Command("dunstctl", "count", "displayed").Output()
	return strings.TrimSpace(string(out))
}

func TestTrayOnAPanel(t *testing.T) {
	s := newStage(t, desktop.Options{Bus: true, Panel: true})
	s.start()
	if n := s.enf.count(func(m link.Message) bool {
		return m.Hello != nil && *m.Hello == link.Hello{Role: link.RoleTray, Session: "self", Version: version}
	}); n != 1 {
		t.Errorf("%d proper hellos", n)
	}
	s.shows(picture.Crossed, "no-word")
	s.enf.say(link.Active, 12*time.Minute)
	at := s.shows(picture.Open, "active")

	s.click(at)
	time.Sleep(1500 * time.Millisecond)
	rig.Shot(t, s.desk.Display, "tray-menu")
	rig.Xdo(t, s.desk.Display, "key", "Down")
	time.Sleep(300 * time.Millisecond)
	lock, n := find(rig.Shot(t, s.desk.Display, "tray-menu-lock"), image.Rect(0, 0, 1280, 766), color.RGBA{53, 132, 228, 255})
	if n < 500 { // the chosen item is blue
		t.Fatal("Lock now is not seen in the menu")
	}
	s.click(lock)
	rig.WaitFor(t, "LockNow", func() bool { return s.enf.count(isLock) == 1 })

	for k, name := range []string{"why", "recorded", "about"} {
		s.click(at)
		time.Sleep(800 * time.Millisecond)
		for range k + 2 {
			rig.Xdo(t, s.desk.Display, "key", "Down")
			time.Sleep(100 * time.Millisecond)
		}
		rig.Xdo(t, s.desk.Display, "key", "Right")
		time.Sleep(800 * time.Millisecond)
		rig.Shot(t, s.desk.Display, "tray-menu-"+name)
		rig.Xdo(t, s.desk.Display, "key", "Escape", "key", "Escape")
		time.Sleep(300 * time.Millisecond)
	}

	s.enf.say(link.Warned, 272*time.Second)
	s.shows(picture.Warning, "warned")
	rig.WaitFor(t, "the notification", func() bool { return s.displayed() == "1" })
	rig.Shot(t, s.desk.Display, "tray-warned-notification")
	s.enf.say(link.Warned, 25*time.Second)
	rig.WaitFor(t, "the banner", func() bool {
		img, box := rig.Shot(t, s.desk.Display, "tray-warned-banner"), image.Rect(0, 660, 1280, 766)
		_, ink := find(img, box, color.RGBA{17, 31, 46, 255})
		_, text := find(img, box, color.RGBA{255, 255, 255, 255})
		return ink > 50000 && text > 500
	})
	s.enf.say(link.Active, 15*time.Minute)
	s.shows(picture.Open, "continued")
	rig.WaitFor(t, "the notification to go", func() bool { return s.displayed() == "0" })
	s.enf.say(link.Expired, 0)
	s.shows(picture.Urgent, "expired")
	s.enf.say(link.Secured, 0)
	s.shows(picture.Closed, "secured")
	rig.WaitFor(t, "a beat", func() bool { return s.enf.count(isBeat) > 0 })
	kib := resident(t, s.tray.PID())
	t.Logf("resident: %d KiB", kib)
	if kib > 40<<10 {
		t.Errorf("%d KiB resident, want at most 40 MiB", kib)
	}
}

func resident(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`VmRSS:\s+(\d+)`).FindSubmatch(b)
	n, _ := strconv.Atoi(string(m[1]))
	return n
}

// Without a panel nobody shows the icon; the warning is shown all the same, and is gone when the tray is.
func TestWarnsWithoutPanel(t *testing.T) {
	s := newStage(t, desktop.Options{Bus: true})
	if _, err := s.desk.Launch("dunst", "dunst"); err != nil {
		t.Fatal(err)
	}
	rig.WaitFor(t, "dunst", func() bool { return s.displayed() == "0" })
	s.start()
	s.enf.say(link.Warned, time.Minute)
	rig.WaitFor(t, "the notification", func() bool { return s.displayed() == "1" })
	if err := s.tray.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.ended()
	if n := s.displayed(); n != "0" {
		t.Errorf("%s notifications are left behind", n)
	}
	if left, _ := filepath.Glob(filepath.Join(s.dir, "run", "systray_*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// ended waits until the tray has ended.
func (s *stage) ended() {
	s.t.Helper()
	select {
	case <-s.tray.Done():
	case <-time.After(rig.Patience):
		s.t.Fatal("the tray does not end")
	}
}

// No bus, no notification service, no panel: the banner warns from the beginning.
func TestWarnsWithoutBus(t *testing.T) {
	s := newStage(t, desktop.Options{})
	s.desk.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+s.dir+"/none")
	s.start()
	s.enf.say(link.Warned, 200*time.Second)
	rig.WaitFor(t, "the banner", func() bool {
		_, n := find(rig.Shot(t, s.desk.Display, "tray-no-bus"), image.Rect(0, 700, 1280, 800), color.RGBA{17, 31, 46, 255})
		return n > 50000
	})
}

func TestConnectsAgain(t *testing.T) {
	s := newStage(t, desktop.Options{Bus: true, Panel: true})
	s.start()
	s.enf.say(link.Active, time.Hour)
	s.shows(picture.Open, "before")
	s.enf.hangUp()
	rig.WaitFor(t, "a second hello", func() bool { return s.enf.count(isHello) == 2 })
	s.shows(picture.Crossed, "lost")
	s.enf.say(link.Active, time.Hour)
	s.shows(picture.Open, "back")
}

func TestOnlyOneInASession(t *testing.T) {
	s := newStage(t, desktop.Options{Bus: true})
	s.start()
	out, err := s.desk.Command(program(t), "--link", s.enf.path).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "another stepaway-tray runs in this session") {
		t.Errorf("a second tray: %v: %s", err, out)
	}
	s.desk.Setenv("XDG_SESSION_ID", "c7") // another session of the same user
	other, err := s.desk.Launch("other", program(t), "--link", s.enf.path)
	if err != nil {
		t.Fatal(err)
	}
	rig.WaitFor(t, "the other session's hello", func() bool {
		return s.enf.count(func(m link.Message) bool { return m.Hello != nil && m.Hello.Session == "c7" }) == 1
	})
	if err := other.Stop(rig.Patience); err != nil {
		t.Error(err)
	}
}

func TestNoDisplay(t *testing.T) {
	cmd := exec.Command(program(t), "--link", "/nonexistent")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	out, err := cmd.CombinedOutput()
	if err == nil || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "no display") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestEndsWithItsDisplay(t *testing.T) {
	s := newStage(t, desktop.Options{Bus: true})
	s.start()
	if err := s.desk.Close(); err != nil {
		t.Fatal(err)
	}
	s.ended()
}

func TestVersionAndHelp(t *testing.T) {
	out, err := exec.Command(program(t), "--version").Output()
	if err != nil || string(out) != "stepaway-tray "+version+"\n" {
		t.Errorf("%v: %q", err, out)
	}
	if out, err := exec.Command(program(t), "--help").CombinedOutput(); err != nil || !strings.Contains(string(out), "--link SOCKET") {
		t.Errorf("%v: %s", err, out)
	}
	if err := exec.Command(program(t), "nonsense").Run(); err == nil {
		t.Error("an argument that means nothing is accepted")
	}
}
