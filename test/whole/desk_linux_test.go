package whole

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/link"
	"stepaway/test/desktop"
	"stepaway/test/rig"
)

// Limits of the tests' policies, and how late a decision may come on a busy machine.
const (
	deskLimit = 10 * time.Second
	late      = 2 * time.Second
	provedIn  = 16 * time.Second // after the deadline; half a second on a free machine. A second attempt comes after ten
)

// screens keeps the number of desktops that run at once small.
var screens = make(chan struct{}, 4)

// site is a clinic with one workstation: a desktop, a collector, and the agent with its courier and its tray.
type site struct {
	t         *testing.T
	dir, bin  string
	desk      *desktop.Desktop
	address   string // of the collector
	collector *desktop.Process
	agent     *desktop.Process
	starts    int // of our programs, for the names of their logs
	end       time.Duration
	locker    string // of the policy; i3lock if empty
}

// bare is a desktop without a bus.
var (
	bare  = desktop.Options{}
	bus   = desktop.Options{Bus: true}
	panel = desktop.Options{Bus: true, Panel: true}
)

// open starts a desktop and a collector at which the workstation is enrolled. The agent is not started yet.
func open(t *testing.T, o desktop.Options) *site {
	t.Helper()
	t.Parallel()
	s := &site{t: t, bin: programs(t), end: deskLimit}
	screens <- struct{}{}
	t.Cleanup(func() { <-screens })
	s.makeDir()
	o.Width, o.Height = 1280, 800
	d, err := desktop.New(s.dir, o)
	if err != nil {
		t.Fatal(err)
	}
	s.desk = d
	t.Cleanup(s.close)
	s.serve()
	s.enroll()
	return s
}

// makeDir makes the directory of everything, with a path short enough for sockets.
func (s *site) makeDir() {
	s.t.Helper()
	dir, err := os.MkdirTemp("", "wh")
	if err != nil {
		s.t.Fatal(err)
	}
	s.dir = dir
	s.t.Cleanup(func() { _ = os.RemoveAll(dir) })
}

// close ends everything, and shows what the programs said if the test failed.
func (s *site) close() {
	if s.t.Failed() {
		out, _, _ := s.tool("stepaway-collector", "events", "--data", s.path("collector"))
		s.t.Logf("the collector holds:\n%s", out)
	}
	for _, p := range []*desktop.Process{s.agent, s.collector} {
		if p == nil {
			continue
		}
		_ = p.Signal(syscall.SIGCONT)
		if err := p.Stop(20 * time.Second); err != nil {
			s.t.Error(err)
		}
		if s.t.Failed() {
			s.t.Logf("%s said:\n%s", p.Name, p.Output())
		}
	}
	if err := s.desk.Close(); err != nil {
		s.t.Log(err)
	}
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// tool runs one of our programs to its end. Its errors and exit code are for the caller.
func (s *site) tool(name string, args ...string) (out, bad string, code int) {
	s.t.Helper()
	cmd := s.desk.Command(filepath.Join(s.bin, name), args...)
	var o, b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &b
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		s.t.Fatal(err)
	}
	return o.String(), b.String(), cmd.ProcessState.ExitCode()
}

// must is tool for what has to succeed.
func (s *site) must(name string, args ...string) string {
	s.t.Helper()
	out, bad, code := s.tool(name, args...)
	if code != 0 {
		s.t.Fatalf("%s %s: exit %d: %s", name, args[0], code, bad)
	}
	return out
}

// launch starts one of our programs, with its output in a file of its own.
func (s *site) launch(name string, args ...string) *desktop.Process {
	s.t.Helper()
	s.starts++
	p, err := desktop.Launch(s.dir, fmt.Sprintf("%s-%d", name, s.starts), s.desk.Command(filepath.Join(s.bin, name), args...))
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// serve makes and starts the collector, or starts it again at the same address.
func (s *site) serve() {
	s.t.Helper()
	if s.address == "" {
		host := ownHost()
		s.address = net.JoinHostPort(host, "8443")
		s.must("stepaway-collector", "init", "--data", s.path("collector"), "--host", host)
	}
	s.collector = s.launch("stepaway-collector", "serve", "--data", s.path("collector"), "--listen", s.address)
	rig.WaitFor(s.t, "the collector to listen", func() bool {
		c, err := net.Dial("tcp", s.address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// ownHost is an address of this machine that nothing else uses: a collector that comes back finds its port free.
func ownHost() string {
	return fmt.Sprintf("127.%d.%d.%d", 1+rand.N(254), rand.N(256), 1+rand.N(254))
}

// device is the name of the workstation.
const device = "ward-7"

func (s *site) enroll() {
	s.t.Helper()
	token := strings.TrimSpace(s.must("stepaway-collector", "token", "--data", s.path("collector"), device))
	s.must("stepaway-courier", "enroll", "--collector", "https://"+s.address, "--token", token, "--state", s.path("state"))
}

// locked is the colour of the screen once the fallback locker holds it.
var locked = color.RGBA{0x20, 0x40, 0x60, 255}

// write makes the policy file.
func (s *site) write() {
	s.t.Helper()
	if s.locker == "" {
		s.locker = fmt.Sprintf("[%s, -n, -c, \"204060\"]", rig.Tool(s.t, "i3lock"))
	}
	text := fmt.Sprintf("limit: %v\nwarning: 5m\nlock: {proof: locker, fallback: %s}\ncollector: {url: \"https://%s\"}\n", s.end, s.locker, s.address)
	if err := os.WriteFile(s.path("policy.yaml"), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// run starts the agent, with its courier and its tray.
func (s *site) run() {
	s.t.Helper()
	s.write()
	s.agent = s.launch("stepaway-agent", "run", "--session", "--policy", s.path("policy.yaml"), "--state", s.path("state"))
}

// events returns what the collector holds, in its order.
func (s *site) events() []audit.Event {
	s.t.Helper()
	return parseEvents(s.t, s.must("stepaway-collector", "events", "--json", "--data", s.path("collector")))
}

func parseEvents(t *testing.T, lines string) (list []audit.Event) {
	t.Helper()
	for l := bufio.NewScanner(strings.NewReader(lines)); l.Scan(); {
		var e audit.Event
		if err := json.Unmarshal(l.Bytes(), &e); err != nil {
			t.Fatalf("a line of events: %v: %s", err, l.Bytes())
		}
		list = append(list, e)
	}
	return list
}

// await waits until the collector holds the nth event of a type, and returns that event.
func (s *site) await(what audit.Type, nth int) (found audit.Event) {
	s.t.Helper()
	for end := time.Now().Add(rig.Patience); ; time.Sleep(150 * time.Millisecond) {
		list := s.events()
		if of := only(list, what); len(of) >= nth {
			return of[nth-1]
		}
		if time.Now().After(end) {
			s.t.Fatalf("waited %v in vain for %s no. %d; there are %v", rig.Patience, what, nth, types(list))
		}
	}
}

func only(list []audit.Event, what audit.Type) []audit.Event {
	return slices.DeleteFunc(slices.Clone(list), func(e audit.Event) bool { return e.Type != what })
}

func types(list []audit.Event) (out []string) {
	for _, e := range list {
		out = append(out, string(e.Type))
	}
	return out
}

// follows checks that these types are among the events in this order.
func (s *site) follows(list []audit.Event, want ...audit.Type) {
	s.t.Helper()
	rest := want
	for _, e := range list {
		if len(rest) > 0 && e.Type == rest[0] {
			rest = rest[1:]
		}
	}
	if len(rest) > 0 {
		s.t.Errorf("%s is missing after %v in %v", rest[0], want[:len(want)-len(rest)], types(list))
	}
}

// whole checks that every event is at the collector once and in order, and that the collector says so too.
func (s *site) whole() {
	s.t.Helper()
	seq, n := map[string]uint64{}, map[string]uint64{}
	for _, e := range s.events() {
		if seq[e.Epoch]++; e.Seq != seq[e.Epoch] {
			s.t.Errorf("%s has number %d in epoch %s, want %d", e.Type, e.Seq, e.Epoch, seq[e.Epoch])
		}
		if n[e.Run]++; e.Run != "" && e.N != n[e.Run] {
			s.t.Errorf("%s has number %d in run %s, want %d", e.Type, e.N, e.Run, n[e.Run])
		}
	}
	out, bad, code := s.tool("stepaway-collector", "verify", "--data", s.path("collector"))
	if code != 0 || !strings.Contains(out, "none missing") {
		s.t.Errorf("verify: exit %d: %s%s", code, out, bad)
	}
}

// onTime checks when a lock was asked for and proved, by the events' own account.
func (s *site) onTime(requested, proved audit.Event) {
	s.t.Helper()
	s.between("lock.requested idle_ms", requested.Facts.IdleMS, s.end, s.end+late)
	s.between("lock.requested late_ms", requested.Facts.LateMS, 0, late)
	s.between("lock.proved late_ms", proved.Facts.LateMS, 0, provedIn)
}

func (s *site) between(what string, got *int64, least, most time.Duration) {
	s.t.Helper()
	if got == nil || *got < least.Milliseconds() || *got > most.Milliseconds() {
		s.t.Errorf("%s is %s, want %v to %v", what, number(got), least, most)
	}
}

func number(n *int64) string {
	if n == nil {
		return "not there"
	}
	return strconv.FormatInt(*n, 10)
}

// locksOnTime waits for the first lock of the session and checks it.
func (s *site) locksOnTime() {
	s.t.Helper()
	proved := s.await(audit.LockProved, 1)
	requested := s.await(audit.LockRequested, 1)
	s.onTime(requested, proved)
	list := s.events()
	again := len(only(list, audit.LockFailed)) > 0 // a busy machine: the locker took longer than its rung waits
	if f := proved.Facts; f.Proof != "locker" || f.Rung != "fallback" && !(again && f.Rung == "already") {
		s.t.Errorf("proved by rung %q with proof %q, want fallback and locker", f.Rung, f.Proof)
	}
	if requested.Reason != audit.Idle {
		s.t.Errorf("requested for reason %q, want idle", requested.Reason)
	}
}

// xdo gives input to the desktop.
func (s *site) xdo(args ...string) {
	s.t.Helper()
	rig.Xdo(s.t, s.desk.Display, args...)
}

// shot takes a picture; its name is that of the test with what.
func (s *site) shot(what string) image.Image {
	s.t.Helper()
	return rig.Shot(s.t, s.desk.Display, strings.TrimPrefix(s.t.Name(), "Test")+"-"+what)
}

// shows waits until at least least pixels of a part of the screen have a colour, and returns their middle.
func (s *site) shows(what string, box image.Rectangle, c color.RGBA, least int) (at image.Point) {
	s.t.Helper()
	rig.WaitFor(s.t, what+" on the screen", func() bool {
		var n int
		at, n = find(s.shot(what), box, c)
		return n >= least
	})
	return at
}

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
	return int(got>>8)-int(want) < 10 && int(want)-int(got>>8) < 10
}

// Parts of the screen, and the banner's colour.
var (
	screen    = image.Rect(0, 0, 1280, 800)
	panelBox  = image.Rect(0, 766, 1280, 800)
	bannerBox = image.Rect(0, 640, 1280, 800)
	ink       = color.RGBA{17, 31, 46, 255}
)

// displayed is how many notifications dunst shows.
func (s *site) displayed() string {
	out, _ := s.desk.Command("dunstctl", "count", "displayed").Output()
	return strings.TrimSpace(string(out))
}

// notified waits until dunst shows n notifications.
func (s *site) notified(n string) {
	s.t.Helper()
	rig.WaitFor(s.t, n+" notifications", func() bool { return s.displayed() == n })
}

// ended waits for the end of a process and returns its exit code.
func (s *site) ended(p *desktop.Process) int {
	s.t.Helper()
	select {
	case <-p.Done():
	case <-time.After(rig.Patience):
		s.t.Fatalf("%s does not end", p.Name)
	}
	return p.ExitCode()
}

// log is everything that a process has written so far.
func log(p *desktop.Process) string {
	b, _ := os.ReadFile(p.Log)
	return string(b)
}

// guarded is the desktop's session as the agent tells of it, or nothing while the agent does not answer.
func (s *site) guarded() (g link.SessionStatus, ok bool) {
	s.t.Helper()
	out, _, code := s.tool("stepaway-agent", "status", "--json", "--session", "--state", s.path("state"))
	var st link.Status
	if code != 0 || json.Unmarshal([]byte(out), &st) != nil || len(st.Sessions) != 1 {
		return g, false
	}
	return st.Sessions[0], true
}

// phase waits until the session is in a phase. It is quicker than waiting for the event at the collector.
func (s *site) phase(want link.Phase) {
	s.t.Helper()
	rig.WaitFor(s.t, "the session to be "+string(want), func() bool {
		g, ok := s.guarded()
		return ok && g.State.Phase == want
	})
}

func itoa(n int) string { return strconv.Itoa(n) }
