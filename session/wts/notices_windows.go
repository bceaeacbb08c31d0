package wts

import (
	"fmt"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"github.com/lxn/win"
	"golang.org/x/sys/windows"
)

const (
	wmSessionChange  = 0x02B1 // WM_WTSSESSION_CHANGE
	allSessions      = 1      // NOTIFY_FOR_ALL_SESSIONS
	terminalServices = 10 * time.Second
)

// notices is a window that is never shown, to which Windows says that some session changed.
type notices struct {
	once   sync.Once
	window chan win.HWND // holds it; closed without one
	done   chan struct{}
}

// heard is called when any session changed. There is one callback because Windows lets a Go program make only so many.
var heard struct {
	mu sync.Mutex
	by map[win.HWND]func()
}

var callback = sync.OnceValue(func() uintptr {
	return windows.NewCallback(func(hwnd win.HWND, msg uint32, wParam, lParam uintptr) uintptr {
		switch msg {
		case wmSessionChange:
			heard.mu.Lock()
			f := heard.by[hwnd]
			heard.mu.Unlock()
			if f != nil {
				f()
			}
			return 0
		case win.WM_DESTROY:
			win.PostQuitMessage(0)
			return 0
		}
		return win.DefWindowProc(hwnd, msg, wParam, lParam)
	})
})

var class = sync.OnceValues(func() (*uint16, error) {
	name, err := windows.UTF16PtrFromString("StepawaySessions")
	if err != nil {
		return nil, err
	}
	wc := win.WNDCLASSEX{LpfnWndProc: callback(), HInstance: win.GetModuleHandle(nil), LpszClassName: name}
	wc.CbSize = uint32(unsafe.Sizeof(wc))
	if win.RegisterClassEx(&wc) == 0 {
		return nil, fmt.Errorf("make a class of windows: error %d", win.GetLastError())
	}
	return name, nil
})

// listen has f called when a session changed. Where that fails nothing is called: it is only a hint.
func listen(f func()) *notices {
	n := &notices{window: make(chan win.HWND, 1), done: make(chan struct{})}
	go n.run(f)
	return n
}

func (n *notices) run(f func()) {
	defer close(n.done)
	runtime.LockOSThread() // for good: the window is the thread's
	hwnd, err := window(f)
	if err != nil {
		close(n.window)
		return
	}
	defer forget(hwnd)
	n.window <- hwnd
	timer := win.SetTimer(hwnd, 1, uint32(terminalServices.Milliseconds()), 0)
	registered := register(hwnd)
	var m win.MSG
	for win.GetMessage(&m, 0, 0, 0) > 0 {
		win.DispatchMessage(&m)
		if m.Message != win.WM_TIMER {
			continue
		}
		if registered || register(hwnd) {
			registered = true
			win.KillTimer(hwnd, timer)
			f() // what changed until now was not told
		}
	}
}

// register asks for notices. That fails until the terminal services run, soon after the start of the machine.
func register(hwnd win.HWND) bool {
	return wtsRegisterSessionNotification(windows.HWND(hwnd), allSessions) == nil
}

// window makes the window.
func window(f func()) (win.HWND, error) {
	name, err := class()
	if err != nil {
		return 0, err
	}
	hwnd := win.CreateWindowEx(0, name, nil, 0, 0, 0, 0, 0, win.HWND_MESSAGE, 0, win.GetModuleHandle(nil), nil)
	if hwnd == 0 {
		return 0, fmt.Errorf("make a window: error %d", win.GetLastError())
	}
	heard.mu.Lock()
	defer heard.mu.Unlock()
	if heard.by == nil {
		heard.by = map[win.HWND]func(){}
	}
	heard.by[hwnd] = f
	return hwnd, nil
}

func forget(hwnd win.HWND) {
	heard.mu.Lock()
	defer heard.mu.Unlock()
	delete(heard.by, hwnd)
}

// close ends the window and its thread.
func (n *notices) close() {
	n.once.Do(func() {
		if hwnd, made := <-n.window; made {
			win.PostMessage(hwnd, win.WM_CLOSE, 0, 0)
		}
	})
	<-n.done
}
