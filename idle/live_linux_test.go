package idle

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"stepaway/clock"
	"stepaway/session"
	"stepaway/x11"
)

const (
	patience = 30 * time.Second
	slack    = 200 * time.Millisecond // between the server's clock and ours, on a machine so busy that answers are slow
)

// server is an X server of this test's own.
type server struct {
	display, authority string
	cmd                *exec.Cmd
}

// xvfb starts a server with a cookie, of a free number or the one asked for.
func xvfb(t testing.TB, authority string, args ...string) *server {
	t.Helper()
	return start(t, nil, "Xvfb", authority, append(args, "-screen", "0", "640x480x24")...)
}

// start starts a server as another user, or as this one.
func start(t testing.TB, as *syscall.Credential, program, authority string, args ...string) *server {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command(program, append(args, "-displayfd", "3", "-auth", authority, "-noreset", "-nolisten", "tcp")...)
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting %s (run `make deps`): %v", program, err)
	}
	w.Close()
	line, err := bufio.NewReader(r).ReadString('\n')
	s := &server{":" + strings.TrimSpace(line), authority, cmd}
	t.Cleanup(s.kill)
	if err != nil {
		t.Fatalf("%s did not start: %v", program, err)
	}
	return s
}

func (s *server) kill() {
	s.cmd.Process.Signal(syscall.SIGTERM) // it takes its lock file along
	s.cmd.Wait()
}

// authority writes a cookie for every display of any host.
func authority(t testing.TB, fill string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "Xauthority")
	b := []byte{0xff, 0xff, 0, 0, 0, 0}
	for _, field := range []string{"MIT-MAGIC-COOKIE-1", strings.Repeat(fill, 16)} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(field)))
		b = append(b, field...)
	}
	must(t, os.WriteFile(path, b, 0o600))
	return path
}

func (s *server) do(t testing.TB, args ...string) {
	t.Helper()
	cmd := exec.Command("xdotool", args...)
	cmd.Env = append(os.Environ(), "DISPLAY="+s.display, "XAUTHORITY="+s.authority)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("xdotool %v: %v %s (run `make deps` if it is missing)", args, err, out)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func watch(t testing.TB, o Options, s ...session.Session) *Watch {
	t.Helper()
	o.Log = slog.New(slog.NewTextHandler(testLog{t}, nil))
	w := NewWatch(o)
	t.Cleanup(w.Close)
	w.Follow(s)
	return w
}

type testLog struct{ t testing.TB }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

func latest(t testing.TB, w *Watch, id string) Input {
	t.Helper()
	in, ok := w.Latest(id)
	if !ok {
		t.Fatalf("session %s is not followed", id)
	}
	return in
}

// until waits for the watch to say something, and only looks again when it says so.
func until(t testing.TB, w *Watch, id, what string, ok func(Input) bool) Input {
	t.Helper()
	after := time.After(patience)
	for {
		in := latest(t, w, id)
		if ok(in) {
			return in
		}
		select {
		case <-w.Changed():
		case <-after:
			t.Fatalf("waiting for %s: %+v, %s", what, in, w.Choice(id).Why)
		}
	}
}

func readable(in Input) bool    { return in.Readable }
func notReadable(in Input) bool { return !in.Readable }

func since(at time.Duration) func(Input) bool {
	return func(in Input) bool { return in.At >= at }
}

func me(kind session.Kind) session.Session {
	return session.Session{ID: "c1", UID: uint32(os.Getuid()), Kind: kind, Active: true}
}

func TestDisplaySeesKeysButtonsAndMoves(t *testing.T) {
	t.Parallel()
	x := xvfb(t, authority(t, "a"))
	w := watch(t, Options{Display: x.display, Authority: x.authority}, me(session.X11))
	until(t, w, "c1", "the display", readable)
	if c := w.Choice("c1"); c.Source != X11 || !strings.Contains(c.Why, "injected input counts") {
		t.Fatalf("choice %+v", c)
	}
	for _, args := range [][]string{{"key", "a"}, {"click", "1"}, {"click", "4"}, {"mousemove_relative", "30", "0"}} {
		before := clock.Now()
		x.do(t, args...)
		done := clock.Now()
		in := until(t, w, "c1", args[0], since(before-slack))
		if in.At > done+slack {
			t.Errorf("%v: seen at %v, done between %v and %v", args, in.At, before, done)
		}
	}
	if in := latest(t, w, "c1"); in.InjectedCount != 0 {
		t.Errorf("%+v: counted as injected where nothing else comes", in)
	}
}

// Input after a quiet second is told at once: not after the second that later input may wait.
func TestFirstInputIsToldAtOnce(t *testing.T) {
	t.Parallel()
	x := xvfb(t, authority(t, "a"))
	w := watch(t, Options{Display: x.display, Authority: x.authority}, me(session.X11))
	until(t, w, "c1", "the display", readable)
	best := time.Hour
	for range 5 {
		time.Sleep(2100 * time.Millisecond)
		before := clock.Now()
		x.do(t, "key", "a")
		until(t, w, "c1", "the key", since(before-slack))
		best = min(best, clock.Now()-before)
	}
	if best > 900*time.Millisecond {
		t.Errorf("told after %v", best)
	}
}

// A program that puts the pointer elsewhere is all the hardware that a virtual display has; beside real hardware, and for
// a few pixels, it is nothing.
func TestWarpCountsOnlyWhereThereIsNoHardware(t *testing.T) {
	t.Parallel()
	x := xvfb(t, authority(t, "a"))
	w := watch(t, Options{Display: x.display, Authority: x.authority}, me(session.X11))
	strict := newWatch(Options{Display: x.display, Authority: x.authority}, hooks{assumeHardware: true})
	t.Cleanup(strict.Close)
	strict.Follow([]session.Session{me(session.X11)})
	until(t, w, "c1", "the display", readable)
	until(t, strict, "c1", "the display", readable)
	x.do(t, "mousemove", "100", "100")
	first := until(t, w, "c1", "the warp", func(in Input) bool { return in.At != 0 })
	time.Sleep(2 * slack)
	x.do(t, "mousemove", "103", "101")
	time.Sleep(2 * slack)
	before := clock.Now()
	if in, _ := w.Latest("c1"); in.At > first.At+slack {
		t.Errorf("three pixels at %v counted", in.At)
	}
	x.do(t, "mousemove", "300", "200")
	until(t, w, "c1", "the second warp", since(before-slack))
	if in, _ := strict.Latest("c1"); in.At != 0 {
		t.Errorf("%+v: a warp counted beside hardware", in)
	}
}

// What is no input must not hold up the input right behind it: a deadline may lie between. A tremble of the pointer and
// the change of keyboard that xdotool's first key brings both come before the key.
func TestInputBehindATrembleIsToldAtOnce(t *testing.T) {
	t.Parallel()
	best := time.Hour
	for range 3 {
		x := xvfb(t, authority(t, "a"))
		w := watch(t, Options{Display: x.display, Authority: x.authority}, me(session.X11))
		until(t, w, "c1", "the display", readable)
		time.Sleep(300 * time.Millisecond)
		before := clock.Now()
		x.do(t, "mousemove_relative", "2", "0", "sleep", "0.1", "key", "a")
		until(t, w, "c1", "the key", since(before-slack))
		best = min(best, clock.Now()-before)
	}
	if best > 900*time.Millisecond {
		t.Errorf("told after %v", best)
	}
}

func TestSmallMovesAreNoInput(t *testing.T) {
	t.Parallel()
	x := xvfb(t, authority(t, "a"))
	w := watch(t, Options{Display: x.display, Authority: x.authority}, me(session.X11))
	until(t, w, "c1", "the display", readable)
	for range 8 {
		x.do(t, "mousemove_relative", "4", "0", "mousemove_relative", "--", "-4", "0")
	}
	time.Sleep(2 * slack)
	mark := clock.Now()
	x.do(t, "key", "a") // the next input after the tremble
	in := until(t, w, "c1", "the key", func(in Input) bool { return in.At != 0 })
	if in.At < mark-slack {
		t.Errorf("a tremble at %v counted; the key came after %v", in.At, mark)
	}
}

func TestInjectedInputDoesNotCountBesideHardware(t *testing.T) {
	t.Parallel()
	x := xvfb(t, authority(t, "a"))
	w := newWatch(Options{Display: x.display, Authority: x.authority}, hooks{assumeHardware: true})
	t.Cleanup(w.Close)
	w.Follow([]session.Session{me(session.X11)})
	until(t, w, "c1", "the display", readable)
	before := clock.Now()
	x.do(t, "key", "a", "click", "1", "mousemove_relative", "50", "50")
	in := until(t, w, "c1", "injected input", func(in Input) bool { return in.InjectedCount > 0 })
	if in.At != 0 || in.Injected < before-slack || in.Injected > clock.Now() {
		t.Errorf("%+v", in)
	}
}

func TestDisplayThatDiesAndComesBack(t *testing.T) {
	t.Parallel()
	auth := authority(t, "a")
	number := fmt.Sprint(":", 20000+os.Getpid()%30000) // one that nobody takes while it is free
	x := xvfb(t, auth, number)
	w := watch(t, Options{Display: x.display, Authority: auth}, me(session.X11))
	until(t, w, "c1", "the display", readable)
	x.do(t, "key", "a")
	seen := until(t, w, "c1", "the key", func(in Input) bool { return in.At != 0 })
	x.kill()
	in := until(t, w, "c1", "the end of the display", notReadable)
	if in.At != seen.At {
		t.Errorf("input moved from %v to %v when the display died", seen.At, in.At)
	}
	if c := w.Choice("c1"); c.Source != None || !strings.Contains(c.Why, "ret=none] lost: ") {
		t.Errorf("choice %+v", c)
	}
	again := xvfb(t, auth, number)
	until(t, w, "c1", "the display again", readable)
	before := clock.Now()
	again.do(t, "key", "a")
	until(t, w, "c1", "the key", since(before-slack))
}

func TestWrongCookieIsUnreadableAndSaysSo(t *testing.T) {
	t.Parallel()
	x := xvfb(t, authority(t, "a"))
	for name, file := range map[string]string{"wrong": authority(t, "b"), "none": filepath.Join(t.TempDir(), "none")} {
		w := watch(t, Options{Display: x.display, Authority: file}, me(session.X11))
		deadline := time.Now().Add(patience)
		for !strings.Contains(w.Choice("c1").Why, "refused") {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %+v", name, w.Choice("c1"))
			}
			<-w.Changed()
		}
		if in := latest(t, w, "c1"); in.Readable || in.At != 0 {
			t.Errorf("%s: %+v", name, in)
		}
	}
}

func TestServersWithoutXInputShowTheirIdleCounter(t *testing.T) {
	t.Parallel()
	x := xvfb(t, authority(t, "a"))
	w := newWatch(Options{Display: x.display, Authority: x.authority}, hooks{noRaw: true})
	t.Cleanup(w.Close)
	w.Follow([]session.Session{me(session.X11)})
	until(t, w, "c1", "the display", readable)
	if c := w.Choice("c1"); !strings.Contains(c.Why, "idle counter, injected input counts") {
		t.Errorf("choice %+v", c)
	}
	for range 2 { // while there is input, and after a quiet time
		before := clock.Now()
		x.do(t, "key", "a")
		done := clock.Now()
		if in := until(t, w, "c1", "the key", since(before-slack)); in.At > done+slack {
			t.Errorf("seen at %v, done at %v", in.At, done)
		}
		time.Sleep(2100 * time.Millisecond)
	}
	x.kill()
	until(t, w, "c1", "the end of the display", notReadable)
}

// As root, the display and its cookie are found through the session's processes.
func TestCookieIsFoundThroughTheSession(t *testing.T) {
	t.Parallel()
	x := xvfb(t, authority(t, "a"))
	proc := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(proc, "4321"), 0o755))
	env := "PATH=/bin\x00DISPLAY=" + x.display + ".0\x00XAUTHORITY=" + x.authority + "\x00"
	must(t, os.WriteFile(filepath.Join(proc, "4321", "environ"), []byte(env), 0o600))
	none := t.TempDir()
	s := me(session.X11)
	s.Remote = true
	w := watch(t, Options{Root: true, ProcDir: proc, InputDir: none, SysDir: none, RunDir: none}, s)
	until(t, w, "c1", "the display", readable)
	before := clock.Now()
	x.do(t, "key", "a")
	until(t, w, "c1", "the key", since(before-slack))
}

// A server of a third user is neither believed nor shown the cookie.
func TestServerOfAnotherUserIsNotBelieved(t *testing.T) {
	t.Parallel()
	auth := authority(t, "a")
	stranger := uint32(os.Getuid())
	var as *syscall.Credential
	if stranger == 0 {
		stranger = 65534
		as = &syscall.Credential{Uid: stranger, Gid: stranger}
	}
	x := start(t, as, "Xvfb", "/dev/null")
	_, err := dialOwn(context.Background(), x.display, x11.Cookie{Name: "MIT-MAGIC-COOKIE-1"}, stranger+1)
	if err == nil || !strings.Contains(err.Error(), "belongs to uid") {
		t.Errorf("dialled: %v", err)
	}
	s := me(session.X11)
	s.UID = stranger + 1
	w := watch(t, Options{Display: x.display, Authority: auth}, s)
	for !strings.Contains(w.Choice("c1").Why, "belongs to uid") {
		<-w.Changed()
	}
	if in := latest(t, w, "c1"); in.Readable {
		t.Errorf("%+v", in)
	}
}

func TestFollowedSetChangesAndCloseLeavesNothing(t *testing.T) {
	x := xvfb(t, authority(t, "a"))
	goroutines, files := runtime.NumGoroutine(), fds(t)
	w := NewWatch(Options{Display: x.display, Authority: x.authority})
	w.Follow([]session.Session{me(session.X11)})
	until(t, w, "c1", "the display", readable)
	x.do(t, "key", "a")
	until(t, w, "c1", "the key", func(in Input) bool { return in.At != 0 })
	w.Follow(nil)
	if _, ok := w.Latest("c1"); ok {
		t.Error("a session that is no longer followed is told of")
	}
	w.Follow([]session.Session{me(session.X11)})
	until(t, w, "c1", "the display", readable)
	w.Close()
	w.Close()
	w.Follow([]session.Session{me(session.X11)})
	if _, ok := w.Latest("c1"); ok {
		t.Error("a closed watch follows")
	}
	gone := time.Now().Add(patience)
	for runtime.NumGoroutine() > goroutines || fds(t) > files {
		if time.Now().After(gone) {
			t.Fatalf("%d goroutines and %d files, before %d and %d", runtime.NumGoroutine(), fds(t), goroutines, files)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func fds(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(list)
}

func BenchmarkLatest(b *testing.B) {
	w := NewWatch(Options{})
	defer w.Close()
	var all []session.Session
	for i := range 20 {
		all = append(all, session.Session{ID: strconv.Itoa(i), Kind: session.Wayland})
	}
	w.Follow(all)
	for b.Loop() {
		w.Latest("7")
	}
}
