package notify

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"stepaway/picture"
	"stepaway/test/rig"
	"stepaway/words"
)

// ear keeps the reports of a Notice.
type ear struct {
	mu   sync.Mutex
	list []Report
}

func (e *ear) report(r Report) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, r)
}

func (e *ear) count(which func(Report) bool) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range e.list {
		if which(r) {
			n++
		}
	}
	return n
}

func continued(r Report) bool { return r.Continued }
func failed(r Report) bool    { return r.Err != nil }
func worked(r Report) bool    { return r == Report{} }

// startNotice runs a Notice to the end of the test, and checks that it ends.
func startNotice(t *testing.T) (*Notice, *ear) {
	t.Helper()
	e := &ear{}
	n := NewNotice("Stepaway", picture.Warning.Draw(48), e.report)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { n.Run(ctx); close(done) }()
	t.Cleanup(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(rig.Patience):
			t.Error("Run does not end")
		}
	})
	return n, e
}

// useBus gives the test a session bus of its own.
func useBus(t *testing.T) {
	t.Helper()
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", rig.Bus(t))
}

const dunstrc = `[global]
    width = 420
    origin = top-right
    offset = 24x24
    font = DejaVu Sans 11
    padding = 14
    horizontal_padding = 16
    mouse_left_click = do_action
    idle_threshold = 0
    follow = none
    show_indicators = no
`

func startDunst(t *testing.T, display string) *exec.Cmd {
	t.Helper()
	conf := filepath.Join(t.TempDir(), "dunstrc")
	if err := os.WriteFile(conf, []byte(dunstrc), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(rig.Tool(t, "dunst"), "-conf", conf)
	cmd.Env = append(os.Environ(), "DISPLAY="+display)
	rig.Start(t, cmd)
	rig.WaitFor(t, "dunst", func() bool { return dunstctl(t, "count", "displayed") == "0" })
	return cmd
}

func dunstctl(t *testing.T, args ...string) string {
	t.Helper()
	out, _ := exec.Command(rig.Tool(t, "dunstctl"), args...).Output()
	return strings.TrimSpace(string(out))
}

func shows(t *testing.T, n int) {
	t.Helper()
	rig.WaitFor(t, fmt.Sprintf("%d notifications", n), func() bool { return dunstctl(t, "count", "displayed") == strconv.Itoa(n) })
}

func TestDunstShowsOneAndClicksContinue(t *testing.T) {
	useBus(t)
	display := rig.Xvfb(t)
	startDunst(t, display)
	n, e := startNotice(t)
	n.Show(sample(272 * time.Second))
	shows(t, 1)
	rig.WaitFor(t, "the answer", func() bool { return e.count(worked) == 1 })
	rig.Shot(t, display, "warning-dunst")
	for left := 20; left > 15; left-- {
		n.Show(sample(time.Duration(left) * time.Second))
		rig.WaitFor(t, "the answer", func() bool { return e.count(worked) == 21-left+1 })
		shows(t, 1)
	}
	rig.Shot(t, display, "warning-dunst-last")

	dunstctl(t, "action", "0")
	rig.WaitFor(t, "dunstctl's action", func() bool { return e.count(continued) == 1 })
	n.Hide()
	shows(t, 0)

	n.Show(sample(10 * time.Second))
	shows(t, 1)
	rig.Xdo(t, display, "mousemove", "1100", "70", "click", "1")
	rig.WaitFor(t, "a real click", func() bool { return e.count(continued) == 2 })
	n.Hide()
	shows(t, 0)
}

func TestShownAgainWhenTheServiceIsReplaced(t *testing.T) {
	useBus(t)
	display := rig.Xvfb(t)
	first := startDunst(t, display)
	n, e := startNotice(t)
	n.Show(sample(time.Minute))
	shows(t, 1)
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	rig.WaitFor(t, "news of the loss", func() bool { return e.count(failed) > 0 })
	conf := startDunstAgain(t, display)
	defer conf()
	shows(t, 1)
	n.Hide()
	shows(t, 0)
}

// startDunstAgain starts a service that is to find a notification waiting for it.
func startDunstAgain(t *testing.T, display string) (stop func()) {
	t.Helper()
	cmd := exec.Command(rig.Tool(t, "dunst"))
	cmd.Env = append(os.Environ(), "DISPLAY="+display)
	rig.Start(t, cmd)
	return func() { _ = cmd.Process.Kill() }
}

func TestTakenAwayAtTheEnd(t *testing.T) {
	useBus(t)
	startDunst(t, rig.Xvfb(t))
	n := NewNotice("Stepaway", nil, func(Report) {})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { n.Run(ctx); close(done) }()
	n.Show(sample(time.Minute))
	shows(t, 1)
	cancel()
	<-done
	shows(t, 0)
}

func TestXfceButton(t *testing.T) {
	useBus(t)
	display := rig.Xvfb(t)
	found, _ := filepath.Glob("/usr/lib/*/xfce4/notifyd/xfce4-notifyd")
	if len(found) == 0 {
		t.Fatal("xfce4-notifyd is not installed: run `make deps`")
	}
	cmd := exec.Command(found[0])
	cmd.Env = append(os.Environ(), "DISPLAY="+display, "HOME="+t.TempDir(), "GTK_THEME=Adwaita")
	rig.Start(t, cmd)
	conn := watch(t)
	rig.WaitFor(t, "xfce4-notifyd", func() bool { return owned(conn) })
	invoked := make(chan *dbus.Signal, 16)
	conn.Signal(invoked)
	n, e := startNotice(t)
	n.Show(sample(272 * time.Second))
	rig.WaitFor(t, "the answer", func() bool { return e.count(worked) == 1 })
	var box [4]int
	rig.WaitFor(t, "the bubble", func() bool { return bubbleBox(t, display, &box) })
	time.Sleep(500 * time.Millisecond) // it fades in
	rig.Shot(t, display, "warning-xfce")
	rig.Xdo(t, display, "mousemove", strconv.Itoa(box[0]+box[2]-60), strconv.Itoa(box[1]+box[3]-30))
	time.Sleep(300 * time.Millisecond)
	rig.Xdo(t, display, "click", "1")
	rig.WaitFor(t, "a click on the button", func() bool { return e.count(continued) > 0 })
	for {
		s := <-invoked
		if s.Name == service+".ActionInvoked" {
			if s.Body[1] != actionContinue {
				t.Errorf("action %q", s.Body[1])
			}
			return
		}
	}
}

// bubbleBox finds the window of xfce4-notifyd that shows something.
func bubbleBox(t *testing.T, display string, box *[4]int) bool {
	cmd := exec.Command(rig.Tool(t, "xdotool"), "search", "--onlyvisible", "--class", "xfce4-notifyd", "getwindowgeometry", "--shell")
	cmd.Env = append(os.Environ(), "DISPLAY="+display)
	out, err := cmd.Output()
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		for i, want := range []string{"X", "Y", "WIDTH", "HEIGHT"} {
			if name == want {
				box[i], _ = strconv.Atoi(value)
			}
		}
	}
	return box[2] > 100 && box[3] > 40
}

// watch is a connection to the bus that hears every signal of the service.
func watch(t *testing.T) *dbus.Conn {
	t.Helper()
	conn, err := dbus.Connect(os.Getenv("DBUS_SESSION_BUS_ADDRESS"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.AddMatchSignal(dbus.WithMatchInterface(service)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func owned(conn *dbus.Conn) (yes bool) {
	_ = conn.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, service).Store(&yes)
	return yes
}

// fakeService is a notification service that does what answer says.
type fakeService struct {
	conn   *dbus.Conn
	mu     sync.Mutex
	asked  []uint32 // the replaced ids
	closed []uint32
	texts  []string
	answer func(f *fakeService, replaces uint32) uint32
}

// Notify is called over the bus.
func (f *fakeService) Notify(_ string, replaces uint32, _, title, _ string, _ []string, _ map[string]dbus.Variant, _ int32) (uint32, *dbus.Error) {
	f.mu.Lock()
	f.asked, f.texts = append(f.asked, replaces), append(f.texts, title)
	f.mu.Unlock()
	return f.answer(f, replaces), nil
}

// CloseNotification is called over the bus.
func (f *fakeService) CloseNotification(id uint32) *dbus.Error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = append(f.closed, id)
	return nil
}

func (f *fakeService) seen() (asked, closed []uint32, last string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.texts) > 0 {
		last = f.texts[len(f.texts)-1]
	}
	return append([]uint32(nil), f.asked...), append([]uint32(nil), f.closed...), last
}

func startFake(t *testing.T, answer func(f *fakeService, replaces uint32) uint32) *fakeService {
	t.Helper()
	f := &fakeService{conn: watch(t), answer: answer}
	if err := f.conn.Export(f, object, service); err != nil {
		t.Fatal(err)
	}
	if r, err := f.conn.RequestName(service, dbus.NameFlagDoNotQueue); err != nil || r != dbus.RequestNameReplyPrimaryOwner {
		t.Fatalf("own the service's name: %v %v", r, err)
	}
	return f
}

func TestReplacedInPlace(t *testing.T) {
	useBus(t)
	f := startFake(t, func(_ *fakeService, replaces uint32) uint32 { return max(replaces, 7) })
	n, e := startNotice(t)
	for i := range 3 {
		n.Show(sample(time.Duration(10-i) * time.Second))
		rig.WaitFor(t, "the answer", func() bool { return e.count(worked) == i+1 })
	}
	n.Hide()
	rig.WaitFor(t, "the close", func() bool { _, closed, _ := f.seen(); return len(closed) == 1 && closed[0] == 7 })
	if asked, _, _ := f.seen(); len(asked) != 3 || asked[0] != 0 || asked[1] != 7 || asked[2] != 7 {
		t.Errorf("replaced ids %v", asked)
	}
}

// The attack: a program of the user's owns the service's name and answers "continue" to everything at once. It hides
// the notification; the banner counts down to the deadline all the same.
func TestAttackServiceThatAnswersContinue(t *testing.T) {
	useBus(t)
	startFake(t, func(f *fakeService, _ uint32) uint32 {
		time.AfterFunc(20*time.Millisecond, func() { _ = f.conn.Emit(object, service+".ActionInvoked", uint32(1), actionContinue) })
		return 1
	})
	began := time.Now()
	s := NewShower(func() time.Duration { return time.Since(began) }, words.In(words.English))
	n := NewNotice("Stepaway", nil, s.Report)
	banner := &slate{began: began}
	s.Notice, s.Banner = n, banner
	ctx, cancel := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	parts.Go(func() { n.Run(ctx) })
	parts.Go(func() { s.Run(ctx) })
	defer parts.Wait()
	defer cancel()
	s.Set(Warning{Due: true, Deadline: 4 * time.Second, Action: "lock"})
	rig.WaitFor(t, "the end of the banner", func() bool { return banner.last() == "hidden" })
	if late := time.Since(began); late < 4*time.Second {
		t.Errorf("the banner was hidden after %v", late)
	}
	if seen := banner.seen(); len(seen) != 5 {
		t.Errorf("banner: %q", seen)
	}
}

// A service that does not answer gets one call, and shows the newest warning when it is back.
func TestHungServiceIsNotFlooded(t *testing.T) {
	useBus(t)
	gate := make(chan struct{})
	f := startFake(t, func(_ *fakeService, replaces uint32) uint32 { <-gate; return max(replaces, 3) })
	n, e := startNotice(t)
	began := time.Now()
	for left := 30; left > 10; left-- {
		n.Show(sample(time.Duration(left) * time.Second))
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("Show took %v", took)
	}
	rig.WaitFor(t, "the report that it hangs", func() bool { return e.count(failed) == 1 })
	if asked, _, _ := f.seen(); len(asked) != 1 {
		t.Errorf("%d calls", len(asked))
	}
	close(gate)
	rig.WaitFor(t, "the newest warning", func() bool { _, _, last := f.seen(); return last == "This screen locks in 11 seconds" })
	rig.WaitFor(t, "the report that it is back", func() bool { return e.count(worked) > 0 })
	if asked, _, _ := f.seen(); len(asked) > 2 || asked[len(asked)-1] != 3 && len(asked) == 2 {
		t.Errorf("replaced ids %v", asked)
	}
}

// Hidden while the service hung: the notification that it shows after all is taken away.
func TestLateNotificationIsTakenAway(t *testing.T) {
	useBus(t)
	gate := make(chan struct{})
	f := startFake(t, func(*fakeService, uint32) uint32 { <-gate; return 9 })
	n, _ := startNotice(t)
	n.Show(sample(time.Minute))
	rig.WaitFor(t, "the call", func() bool { asked, _, _ := f.seen(); return len(asked) == 1 })
	n.Hide()
	close(gate)
	rig.WaitFor(t, "the close", func() bool { _, closed, _ := f.seen(); return len(closed) == 1 && closed[0] == 9 })
}

func TestNoBus(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+filepath.Join(t.TempDir(), "none"))
	n, e := startNotice(t)
	n.Show(sample(time.Minute))
	rig.WaitFor(t, "the report", func() bool { return e.count(failed) == 1 })
}

func TestBusWithoutService(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", emptyBus(t))
	n, e := startNotice(t)
	n.Show(sample(time.Minute))
	rig.WaitFor(t, "the report", func() bool { return e.count(failed) == 1 })
}

// emptyBus is a bus that can start no service.
func emptyBus(t *testing.T) (address string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "bus")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	conf := filepath.Join(dir, "conf")
	config := `<busconfig><type>session</type><listen>unix:path=` + dir + `/bus</listen><policy context="default">` +
		`<allow send_destination="*"/><allow own="*"/></policy></busconfig>`
	if err := os.WriteFile(conf, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	rig.Start(t, exec.Command(rig.Tool(t, "dbus-daemon"), "--config-file="+conf, "--nofork"))
	rig.WaitFor(t, "the bus", func() bool { _, err := os.Stat(dir + "/bus"); return err == nil })
	return "unix:path=" + dir + "/bus"
}

// The attack: a bus that takes connections and never speaks.
func TestAttackBusThatNeverSpeaks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bus")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+path)
	n, e := startNotice(t)
	n.Show(sample(time.Minute))
	rig.WaitFor(t, "the report", func() bool { return e.count(failed) == 1 })
}

func TestPlain(t *testing.T) {
	if got := plain("<b>A&B</b> EHR"); got != "bA+B/b EHR" {
		t.Errorf("got %q", got)
	}
}
