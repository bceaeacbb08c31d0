package probe

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/lxn/win"
	"golang.org/x/sys/windows"

	"stepaway/clock"
	"stepaway/session"
)

// patient is how long a test waits for what should come at once.
const patient = time.Minute

// TestMain is also every program that these tests start.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if run := programs[os.Args[1]]; run != nil {
			if err := run(os.Args[2:]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	if os.Getenv("STEPAWAY_WINE_TEST") == "" {
		fmt.Println("these tests lock this computer's desktop: run them with `make test`, in a Windows of their own")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

var programs = map[string]func(args []string) error{
	Verb:      func([]string) error { return Run(os.Stdin, os.Stdout) },
	"desk":    desk,
	"window":  showWindow,
	"told":    tellEnvironment,
	"service": func([]string) error { return serveOne() },
}

// own is the session of this process.
func own() session.Session {
	var id uint32
	if err := windows.ProcessIdToSessionId(windows.GetCurrentProcessId(), &id); err != nil {
		panic(err)
	}
	return session.Session{ID: strconv.FormatUint(uint64(id), 10), Kind: session.Console}
}

// desk keeps a probe on the desktop that is named, says what it sees, and does what a line of input asks.
func desk(args []string) error {
	p, err := New(Options{Desktop: args[0], Beat: 500 * time.Millisecond})
	if err != nil {
		return err
	}
	defer p.Close()
	s := own()
	p.Follow([]session.Session{s})
	go func() {
		for range p.Changed() {
			r, _ := p.Latest(s.ID)
			b, _ := json.Marshal(map[string]any{"now": clock.Now(), "report": r})
			fmt.Printf("%s\n", b)
		}
	}()
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		word, rest, _ := strings.Cut(in.Text(), " ")
		switch word {
		case "close":
			pid, _ := strconv.ParseUint(rest, 10, 32)
			n, err := p.CloseWindows(context.Background(), s.ID, []uint32{uint32(pid)})
			fmt.Printf("close %d %v\n", n, err)
		case "send":
			fmt.Println("send", sendKey())
		}
	}
	return nil
}

// sendKey presses and lets go a key as a program does it.
func sendKey() error {
	in := []win.KEYBD_INPUT{{Type: win.INPUT_KEYBOARD, Ki: win.KEYBDINPUT{WVk: 'A'}}, {Type: win.INPUT_KEYBOARD, Ki: win.KEYBDINPUT{WVk: 'A', DwFlags: win.KEYEVENTF_KEYUP}}}
	if n := win.SendInput(2, unsafe.Pointer(&in[0]), int32(unsafe.Sizeof(in[0]))); n != 2 {
		return fmt.Errorf("%d sent, error %d", n, win.GetLastError())
	}
	return nil
}

// showWindow shows a window with a dialog of its own and one that is hidden, and ends well when the window is closed. The hidden
// one owns the window, as programs made with Visual Basic 6 have it.
func showWindow([]string) error {
	runtime.LockOSThread()
	closed := map[win.HWND]bool{}
	proc := windows.NewCallback(func(hwnd win.HWND, msg uint32, wParam, lParam uintptr) uintptr {
		if msg == win.WM_CLOSE {
			closed[hwnd] = true
			win.PostQuitMessage(0)
			return 0
		}
		return win.DefWindowProc(hwnd, msg, wParam, lParam)
	})
	name, _ := windows.UTF16PtrFromString("TestWindow")
	wc := win.WNDCLASSEX{LpfnWndProc: proc, HInstance: win.GetModuleHandle(nil), LpszClassName: name}
	wc.CbSize = uint32(unsafe.Sizeof(wc))
	win.RegisterClassEx(&wc)
	hidden := win.CreateWindowEx(0, name, name, win.WS_OVERLAPPEDWINDOW, 10, 10, 200, 100, 0, 0, wc.HInstance, nil)
	window := win.CreateWindowEx(0, name, name, win.WS_OVERLAPPEDWINDOW|win.WS_VISIBLE, 10, 10, 200, 100, hidden, 0, wc.HInstance, nil)
	dialog := win.CreateWindowEx(0, name, name, win.WS_POPUP|win.WS_VISIBLE, 20, 20, 50, 50, window, 0, wc.HInstance, nil)
	fmt.Println("shown")
	var m win.MSG
	for win.GetMessage(&m, 0, 0, 0) > 0 {
		win.DispatchMessage(&m)
	}
	if !closed[window] || closed[dialog] || closed[hidden] {
		return fmt.Errorf("closed %v, want only %v", closed, window)
	}
	return nil
}

// tellEnvironment says what a process was started with.
func tellEnvironment([]string) error {
	return json.NewEncoder(os.Stdout).Encode(os.Environ())
}

// serveOne keeps one probe and says its number, until it is ended.
func serveOne() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	d := &desktops{program: self, desktop: ""}
	proc, err := d.talkTo(0)
	if err != nil {
		return err
	}
	if err := writeFrame(proc.in, asked{Beat: time.Second}); err != nil {
		return err
	}
	for {
		if _, err := readHeard(proc.out); err != nil {
			return err
		}
		fmt.Println("beat")
	}
}

// program starts a program of these tests, and waits until it says word.
func program(t *testing.T, word string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	for in := bufio.NewScanner(out); in.Scan(); {
		if in.Text() == word {
			go io.Copy(io.Discard, out)
			return cmd
		}
	}
	t.Fatalf("%v never said %q", args, word)
	return nil
}

// watched are real Probes of this session, whose host tells of each process.
type watched struct {
	*Probes
	id      string
	started chan windows.Handle
}

// keeping notes the handle of each probe that is started.
type keeping struct {
	*desktops
	started chan windows.Handle
}

func (k *keeping) start(s session.Session) (*process, error) {
	before := probesHere()
	p, err := k.desktops.start(s)
	if err != nil {
		return nil, err
	}
	for _, pid := range probesHere() {
		if !contains(before, pid) {
			h, err := windows.OpenProcess(windows.SYNCHRONIZE|windows.PROCESS_TERMINATE|windows.PROCESS_SUSPEND_RESUME|windows.PROCESS_QUERY_LIMITED_INFORMATION, false, pid)
			if err != nil {
				return nil, err
			}
			k.started <- h
		}
	}
	return p, nil
}

func contains(list []uint32, n uint32) bool {
	for _, x := range list {
		if x == n {
			return true
		}
	}
	return false
}

// probesHere lists the children of this process that run its program.
func probesHere() []uint32 {
	snap, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPPROCESS, 0)
	if err != nil {
		panic(err)
	}
	defer windows.CloseHandle(snap)
	self, _ := os.Executable()
	var out []uint32
	e := windows.ProcessEntry32{}
	e.Size = uint32(unsafe.Sizeof(e))
	for err := windows.Process32First(snap, &e); err == nil; err = windows.Process32Next(snap, &e) {
		if e.ParentProcessID == windows.GetCurrentProcessId() && strings.EqualFold(windows.UTF16ToString(e.ExeFile[:]), filepath.Base(self)) {
			out = append(out, e.ProcessID)
		}
	}
	return out
}

// keep begins to keep a probe in this session, with a beat that suits a test.
func keep(t *testing.T, d *desktops) *watched {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := own()
	id, err := strconv.ParseUint(s.ID, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	d.program, d.own = self, uint32(id)
	w := &watched{id: s.ID, started: make(chan windows.Handle, 16)}
	w.Probes = newProbes(Options{Beat: time.Second}, &keeping{d, w.started})
	t.Cleanup(w.Close)
	w.Follow([]session.Session{s})
	return w
}

// until waits until a report is as wanted.
func (w *watched) until(t *testing.T, what string, ok func(Report) bool) Report {
	t.Helper()
	var r Report
	for end := time.Now().Add(patient); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if r, _ = w.Latest(w.id); ok(r) {
			return r
		}
	}
	t.Fatalf("waited in vain until %s: %+v", what, r)
	return r
}

func (w *watched) readable(t *testing.T) {
	w.until(t, "it is readable", func(r Report) bool { return r.Readable })
}

// TestProbe: a real one sees the desktop, with this process's token and with a copy of it that was moved.
func TestProbe(t *testing.T) {
	for _, moved := range []bool{false, true} {
		w := keep(t, &desktops{always: moved})
		w.readable(t)
		r, _ := w.Latest(w.id)
		if r.At > clock.Now() || !strings.Contains(r.Why, "raw=yes") {
			t.Errorf("moved %v: %+v", moved, r)
		}
		h := <-w.started
		w.Close()
		if e, err := windows.WaitForSingleObject(h, uint32(patient.Milliseconds())); e != windows.WAIT_OBJECT_0 {
			t.Errorf("moved %v: lives after the end: %v", moved, err)
		}
		windows.CloseHandle(h)
	}
}

// TestKilled: a probe that is ended is started anew, and the session is unreadable meanwhile.
func TestKilled(t *testing.T) {
	w := keep(t, &desktops{})
	w.readable(t)
	h := <-w.started
	defer windows.CloseHandle(h)
	if err := windows.TerminateProcess(h, 9); err != nil {
		t.Fatal(err)
	}
	r := w.until(t, "it is unreadable", func(r Report) bool { return !r.Readable })
	if !strings.Contains(r.Why, "code 0x9") {
		t.Errorf("%+v", r)
	}
	w.readable(t)
	if h2 := <-w.started; h2 == h {
		t.Error("the same process")
	} else {
		windows.CloseHandle(h2)
	}
}

// TestSuspended: a probe that is suspended is silent, ended and started anew.
func TestSuspended(t *testing.T) {
	w := keep(t, &desktops{})
	w.readable(t)
	h := <-w.started
	defer windows.CloseHandle(h)
	suspend := windows.NewLazySystemDLL("ntdll.dll").NewProc("NtSuspendProcess")
	if status, _, _ := suspend.Call(uintptr(h)); status != 0 {
		t.Fatalf("NtSuspendProcess: %#x", status)
	}
	before, _ := w.Latest(w.id)
	r := w.until(t, "it is unreadable", func(r Report) bool { return !r.Readable })
	if r.At != before.At || !strings.Contains(r.Why, "silent") {
		t.Errorf("%+v", r)
	}
	w.readable(t)
	if code, ended := exit(h, patient); !ended || code == 0 {
		t.Errorf("the suspended one: ended %v, code %d", ended, code)
	}
}

// TestTheServiceEnds: its probes do too.
func TestTheServiceEnds(t *testing.T) {
	service := program(t, "beat", "service")
	snap := childrenOf(uint32(service.Process.Pid))
	if len(snap) != 1 {
		t.Fatalf("probes of the service: %v", snap)
	}
	h, err := windows.OpenProcess(windows.SYNCHRONIZE|windows.PROCESS_QUERY_LIMITED_INFORMATION, false, snap[0])
	if err != nil {
		t.Fatal(err)
	}
	defer windows.CloseHandle(h)
	service.Process.Kill()
	if _, ended := exit(h, patient); !ended {
		t.Error("its probe lives on")
	}
}

func childrenOf(parent uint32) (out []uint32) {
	snap, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPPROCESS, 0)
	if err != nil {
		panic(err)
	}
	defer windows.CloseHandle(snap)
	e := windows.ProcessEntry32{}
	e.Size = uint32(unsafe.Sizeof(e))
	for err := windows.Process32First(snap, &e); err == nil; err = windows.Process32Next(snap, &e) {
		if e.ParentProcessID == parent {
			out = append(out, e.ProcessID)
		}
	}
	return out
}

// TestHostileService: a probe that is told nonsense ends; who started it then starts another.
func TestHostileService(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing":            {},
		"no beat":            frame(`{"id":1,"lock":true}`),
		"garbage":            []byte("garbage, and more of it"),
		"endless":            {0xff, 0xff, 0xff, 0xff},
		"a beat, then none":  append(frame(`{"beat":1000000000}`), frame(`{}`)...),
		"wants nothing back": append(frame(`{"beat":1000000000}`), frame(`{"id":0,"clipboard":true}`)...),
	} {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(self, Verb)
		cmd.Stdin = strings.NewReader(string(b))
		done := make(chan error, 1)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		go func() { done <- cmd.Wait() }()
		select {
		case <-done:
		case <-time.After(patient):
			cmd.Process.Kill()
			t.Errorf("%s: lives on", name)
		}
	}
}

// TestNothingIsInherited but the two pipes, and nothing is told but where Windows is.
func TestNothingIsInherited(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("CANARY", "must not be handed on")
	var event windows.Handle
	sa := windows.SecurityAttributes{InheritHandle: 1}
	sa.Length = uint32(unsafe.Sizeof(sa))
	if event, err = windows.CreateEvent(&sa, 1, 0, nil); err != nil {
		t.Fatal(err)
	}
	defer windows.CloseHandle(event)
	theirIn, in, _ := os.Pipe()
	out, theirOut, _ := os.Pipe()
	d := &desktops{program: self}
	h, err := d.run(0, []windows.Handle{windows.Handle(theirIn.Fd()), windows.Handle(theirOut.Fd())}, "told")
	if err != nil {
		t.Fatal(err)
	}
	theirIn.Close()
	theirOut.Close()
	defer in.Close()
	said, _ := io.ReadAll(out)
	if code, ended := exit(h, patient); !ended || code != 0 {
		t.Errorf("ended %v, code %d", ended, code)
	}
	var env []string
	if err := json.Unmarshal(said, &env); err != nil {
		t.Fatalf("%q: %v", said, err)
	}
	for _, v := range env {
		name, _, _ := strings.Cut(strings.ToUpper(v), "=")
		if name != "SYSTEMROOT" && !strings.HasPrefix(name, "WINE") && name != "SYSTEMDRIVE" && name != "PROCESSOR_ARCHITECTURE" { // all but the first are Wine's own
			t.Errorf("told %s", v)
		}
	}
	// The event's handle means nothing there: had it been inherited, it would be the same object.
	var dup windows.Handle
	if err := windows.DuplicateHandle(h, event, windows.CurrentProcess(), &dup, 0, false, windows.DUPLICATE_SAME_ACCESS); err == nil {
		t.Error("a handle was inherited that is none of its business")
	}
	end(h)
}

// TestNoPipesNothingInherited: what locks for its user gets not even those.
func TestWhoLocksForItsUser(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d := &desktops{program: self}
	h, err := d.run(0, nil, "told")
	if err != nil {
		t.Fatal(err)
	}
	if _, ended := exit(h, patient); !ended {
		t.Error("did not end")
	}
	end(h)
	if err := d.lock(t.Context(), session.Session{ID: "0"}); err == nil {
		t.Error("the session of the services was locked")
	}
}

// TestLockIsRefused: what Windows does not do is told, with its reason. Wine has no lock, and says so (120).
func TestLockIsRefused(t *testing.T) {
	w := keep(t, &desktops{})
	w.readable(t)
	err := w.Lock(t.Context(), w.id)
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "120") {
		t.Errorf("%v", err)
	}
	if err := LockHere(); !errors.Is(err, syscall.Errno(120)) {
		t.Errorf("%v", err)
	}
}

// TestCloseWindows: the window is asked, its dialog and what is hidden are not, and nobody else is.
func TestCloseWindows(t *testing.T) {
	w := keep(t, &desktops{})
	w.readable(t)
	wanted, other := program(t, "shown", "window"), program(t, "shown", "window")
	n, err := w.CloseWindows(t.Context(), w.id, []uint32{uint32(wanted.Process.Pid), 4})
	if n != 1 || err != nil {
		t.Errorf("%d asked, %v", n, err)
	}
	done := make(chan error, 1)
	go func() { done <- wanted.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("%v", err)
		}
	case <-time.After(patient):
		t.Fatal("the window was not closed")
	}
	if n, err := w.CloseWindows(t.Context(), w.id, []uint32{4_000_000_000}); n != 0 || err != nil {
		t.Errorf("%d asked of nobody, %v", n, err)
	}
	if n, err := w.CloseWindows(t.Context(), w.id, []uint32{uint32(other.Process.Pid)}); n != 1 || err != nil {
		t.Errorf("the other was gone: %d, %v", n, err)
	}
}

// hold puts a text on the clipboard, in the name of a window of this thread, and leaves the clipboard open.
func hold(t *testing.T) {
	t.Helper()
	class, _ := windows.UTF16PtrFromString("STATIC")
	owner := win.CreateWindowEx(0, class, nil, 0, 0, 0, 0, 0, win.HWND_MESSAGE, 0, 0, nil)
	if err := openClipboard(windows.HWND(owner)); err != nil {
		t.Fatal(err)
	}
	if err := emptyClipboard(); err != nil {
		t.Fatal(err)
	}
	text, _ := windows.UTF16FromString("canary")
	memory := win.GlobalAlloc(win.GMEM_MOVEABLE, uintptr(2*len(text)))
	copy(unsafe.Slice((*uint16)(win.GlobalLock(memory)), len(text)), text)
	win.GlobalUnlock(memory)
	if win.SetClipboardData(win.CF_UNICODETEXT, win.HANDLE(memory)) == 0 {
		t.Fatal("not put on the clipboard")
	}
}

// TestClipboard: what was there is gone, also when another program holds it open for a moment.
func TestClipboard(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	w := keep(t, &desktops{})
	w.readable(t)
	hold(t)
	done := make(chan error, 1)
	go func() { done <- w.EmptyClipboard(context.Background(), w.id) }()
	time.Sleep(200 * time.Millisecond) // longer than one try
	if err := closeClipboard(); err != nil {
		t.Fatal(err)
	}
	var m win.MSG
	for waiting := true; waiting; time.Sleep(time.Millisecond) {
		for win.PeekMessage(&m, 0, 0, 0, win.PM_REMOVE) { // who has the clipboard is told that it is taken
			win.DispatchMessage(&m)
		}
		select {
		case err := <-done:
			if waiting = false; err != nil {
				t.Fatal(err)
			}
		default:
		}
	}
	if win.IsClipboardFormatAvailable(win.CF_UNICODETEXT) {
		t.Error("the text is still there")
	}
}

// TestHungClipboard: a program that has the clipboard and does not answer holds up nothing else.
func TestHungClipboard(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	w := keep(t, &desktops{})
	w.readable(t)
	hold(t)
	if err := closeClipboard(); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if err := w.EmptyClipboard(ctx, w.id); err == nil {
			t.Error("emptied, with an owner that does not answer")
		}
		cancel()
	}
	if err := w.Lock(t.Context(), w.id); !errors.Is(err, ErrRefused) {
		t.Errorf("not even asked: %v", err)
	}
	if r, _ := w.Latest(w.id); !r.Readable {
		t.Errorf("%+v", r)
	}
}

// TestInput: input is seen when it comes. It is a program's, but Wine gives it a device: what has none is in TestJudge.
func TestInput(t *testing.T) {
	w := keep(t, &desktops{})
	w.readable(t)
	program(t, "shown", "window") // Wine gives input only where some window is in front
	before := clock.Now()
	if err := sendKey(); err != nil {
		t.Fatal(err)
	}
	r := w.until(t, "the input is seen", func(r Report) bool { return r.At >= before-time.Second && r.At != 0 })
	if r.At > clock.Now() {
		t.Errorf("%+v", r)
	}
}
