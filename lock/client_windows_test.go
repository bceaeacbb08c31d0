package lock

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/lxn/win"
	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"

	"stepaway/session"
)

// What a client does when it is asked to close. The test's own program is the client: a copy of it at the client's path.
const (
	polite   = "polite"   // closes
	asking   = "asks"     // asks whether to save first
	deaf     = "deaf"     // does not hear
	hidden   = "hidden"   // has no window
	restarts = "restarts" // no client: starts one again when it has ended, as often as its second argument is long
	started  = "started"  // writes to a file in which session it runs, as whom, where and with what argument, and stays
)

// startedArgument tells a client what it is where its environment is not the test's.
const startedArgument = "-started"

func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == startedArgument {
		client(started, os.Args[2:])
		return
	}
	if mode := os.Getenv("LOCK_TEST_CLIENT"); mode != "" {
		client(mode, os.Args[1:])
		return
	}
	os.Exit(withWindows(m))
}

// withWindows runs the tests. Wine has windows without a screen if it is told that there shall be none.
func withWindows(m *testing.M) int {
	if os.Getenv("STEPAWAY_WINE_TEST") != "" {
		key, _, err := registry.CreateKey(registry.CURRENT_USER, `Software\Wine\Drivers`, registry.SET_VALUE)
		if err == nil {
			err = key.SetStringValue("Graphics", "null")
			key.Close()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "do without a screen:", err)
			return 1
		}
	}
	return m.Run()
}

func client(mode string, args []string) {
	runtime.LockOSThread()
	switch mode {
	case restarts:
		fmt.Println("ready")
		for range args[1] {
			cmd := exec.Command(args[0])
			cmd.Env = append(os.Environ(), "LOCK_TEST_CLIENT="+hidden)
			_ = cmd.Run()
		}
	case hidden:
		fmt.Println("ready")
		time.Sleep(time.Hour)
	case started:
		tell(args[0], args[1])
		time.Sleep(time.Hour)
	default:
		show(mode, args)
	}
}

// tell writes about this process, all at once.
func tell(path, argument string) {
	var id uint32
	_ = windows.ProcessIdToSessionId(windows.GetCurrentProcessId(), &id)
	user, _ := windows.GetCurrentProcessToken().GetTokenUser()
	dir, _ := os.Getwd()
	_ = os.WriteFile(path+".new", []byte(strings.Join([]string{fmt.Sprint(id), user.User.Sid.String(), dir, argument}, "\n")), 0o600)
	_ = os.Rename(path+".new", path)
}

// show opens a window and runs it until it is closed.
func show(mode string, args []string) {
	class := windows.StringToUTF16Ptr("LockTestClient")
	wc := win.WNDCLASSEX{LpszClassName: class, HInstance: win.GetModuleHandle(nil)}
	wc.CbSize = uint32(unsafe.Sizeof(wc))
	wc.LpfnWndProc = syscall.NewCallback(func(w win.HWND, msg uint32, wp, lp uintptr) uintptr {
		switch msg {
		case win.WM_CLOSE:
			return closeOf(mode, w, args)
		case win.WM_DESTROY:
			win.PostQuitMessage(0)
			return 0
		}
		return win.DefWindowProc(w, msg, wp, lp)
	})
	win.RegisterClassEx(&wc)
	w := win.CreateWindowEx(0, class, class, win.WS_OVERLAPPEDWINDOW|win.WS_VISIBLE, 0, 0, 300, 200, 0, 0, wc.HInstance, nil)
	if w == 0 {
		fmt.Println("no window", win.GetLastError())
		os.Exit(3)
	}
	fmt.Println("ready")
	var m win.MSG
	for win.GetMessage(&m, 0, 0, 0) > 0 {
		win.TranslateMessage(&m)
		win.DispatchMessage(&m)
	}
}

func closeOf(mode string, w win.HWND, args []string) uintptr {
	switch mode {
	case deaf:
		return 0
	case asking:
		title := windows.StringToUTF16Ptr("Save?")
		switch win.MessageBox(w, title, title, win.MB_YESNOCANCEL) {
		case win.IDYES:
			_ = os.WriteFile(args[0], []byte("saved"), 0o600)
		case win.IDCANCEL:
			return 0
		}
	}
	win.DestroyWindow(w)
	return 0
}

// install copies the client to a path.
func install(t *testing.T, path string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(self)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o755)
	}
	if err == nil {
		err = os.WriteFile(path, b, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// run starts a client and waits until it is up. It ends with the test.
func run(t *testing.T, path, mode string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Env, cmd.Stderr = append(os.Environ(), "LOCK_TEST_CLIENT="+mode), os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); err != nil || strings.TrimSpace(line) != "ready" {
		t.Fatalf("%s: %q, %v", path, line, err)
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	return cmd
}

// alive reports whether a client that was started still runs.
func alive(t *testing.T, cmd *exec.Cmd) bool {
	t.Helper()
	p, err := hold(uint32(cmd.Process.Pid))
	if err != nil {
		return false
	}
	defer p.Close()
	return !p.Ended()
}

// here is the session that the test runs in.
func here(t *testing.T) session.Session {
	t.Helper()
	var id uint32
	if err := windows.ProcessIdToSessionId(windows.GetCurrentProcessId(), &id); err != nil {
		t.Fatal(err)
	}
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		t.Fatal(err)
	}
	return session.Session{ID: fmt.Sprint(id), SID: user.User.Sid.String(), UID: session.NoUID, Kind: session.Console}
}

// desk does within the test's own session what the program does there that the service starts.
type desk struct {
	mu      sync.Mutex
	locked  int   // times that it was asked to lock
	err     error // its answer
	hang    bool
	emptied int
}

func (d *desk) Lock(ctx context.Context, _ string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.hang {
		<-ctx.Done()
		return ctx.Err()
	}
	d.locked++
	return d.err
}

func (d *desk) EmptyClipboard(context.Context, string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.emptied++
	return d.err
}

func (*desk) CloseWindows(_ context.Context, _ string, pids []uint32) (asked int, err error) {
	for _, w := range windowsOf(pids) {
		if win.IsWindowVisible(w) && win.GetWindow(w, win.GW_OWNER) == 0 {
			win.PostMessage(w, win.WM_CLOSE, 0, 0)
			asked++
		}
	}
	return asked, nil
}

var (
	listing sync.Mutex
	listed  []win.HWND
	collect = syscall.NewCallback(func(w win.HWND, _ uintptr) uintptr {
		listed = append(listed, w)
		return 1
	})
)

// windowsOf lists the top-level windows of processes.
func windowsOf(pids []uint32) []win.HWND {
	listing.Lock()
	defer listing.Unlock()
	listed = nil
	_ = windows.EnumWindows(collect, nil)
	return slices.DeleteFunc(listed, func(w win.HWND) bool {
		var pid uint32
		win.GetWindowThreadProcessId(w, &pid)
		return !slices.Contains(pids, pid)
	})
}

// answer presses a button of a process's dialog as soon as there is one.
func answer(pid int, button uintptr) {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		for _, w := range windowsOf([]uint32{uint32(pid)}) {
			if win.GetDlgItem(w, int32(button)) != 0 {
				win.PostMessage(w, win.WM_COMMAND, button, 0)
				return
			}
		}
	}
}
