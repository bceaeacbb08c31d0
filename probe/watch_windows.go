package probe

import (
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"github.com/lxn/win"
	"golang.org/x/sys/windows"

	"stepaway/clock"
)

const (
	lull    = time.Second           // for which input is left in the queue once some was told
	tremble = 50 * time.Millisecond // and where it was not believed: a person's first key may come right behind it
	poll    = 2 * time.Second       // where there is no raw input
)

// watcher sees the input of one desktop.
type watcher struct {
	raw     bool
	judge   judge
	ticks   ticks
	any     time.Duration // last input of whatever origin
	gap     gap
	blind   bool
	emptied time.Duration // when the queue last was empty
	drained bool          // the last look found events
	moved   bool          // what was last said had new input
	buf     [1024]byte
}

// watch tells of input until it cannot be told any more.
func watch(beat time.Duration, s *speaker) error {
	runtime.LockOSThread() // the queue is the thread's
	w := &watcher{emptied: clock.Now()}
	w.raw = w.listen() == nil
	var told said
	for due := clock.Now(); ; {
		w.look()
		now := clock.Now()
		if news := w.news(); news != told || now >= due {
			if err := s.say(heard{Said: &news}); err != nil {
				return err
			}
			w.moved = news.At != told.At
			told, due = news, now+beat
		}
		w.wait(due - now)
	}
}

// Usages of raw input, as in "Top-level collections opened by Windows for system use".
const (
	pageGeneric, usageMouse, usageKeyboard             = 0x01, 0x02, 0x06
	pageDigitizer, usagePen, usageTouch, usageTouchpad = 0x0d, 0x02, 0x04, 0x05
)

// listen asks for the raw input of the whole desktop, to a window that is never shown.
func (w *watcher) listen() error {
	class, err := windows.UTF16PtrFromString("STATIC")
	if err != nil {
		return err
	}
	hwnd := win.CreateWindowEx(0, class, nil, 0, 0, 0, 0, 0, win.HWND_MESSAGE, 0, 0, nil)
	if hwnd == 0 {
		return fmt.Errorf("make a window: error %d", win.GetLastError())
	}
	const need = 2 // mouse and keyboard; without the others a touch may go unseen, which is idleness
	for i, usage := range [][2]uint16{{pageGeneric, usageMouse}, {pageGeneric, usageKeyboard},
		{pageDigitizer, usagePen}, {pageDigitizer, usageTouch}, {pageDigitizer, usageTouchpad}} {
		device := win.RAWINPUTDEVICE{UsUsagePage: usage[0], UsUsage: usage[1], DwFlags: win.RIDEV_INPUTSINK, HwndTarget: hwnd}
		if !win.RegisterRawInputDevices(&device, 1, uint32(unsafe.Sizeof(device))) && i < need {
			return fmt.Errorf("ask for raw input: error %d", win.GetLastError())
		}
	}
	return nil
}

// look takes in what was posted since the look before, and what GetLastInputInfo says.
func (w *watcher) look() {
	w.judge.shown(win.GetSystemMetrics(win.SM_REMOTESESSION) != 0)
	w.drained = false
	now, count := clock.Now(), uint32(getTickCount64())
	var m win.MSG
	for win.PeekMessage(&m, 0, 0, 0, win.PM_REMOVE) {
		if m.Message == win.WM_INPUT {
			w.take(&m, stamp(now, w.emptied, count, m.Time))
		} else {
			win.DispatchMessage(&m)
		}
	}
	w.emptied = now
	w.lastInput()
}

// take reads one event of raw input. What a key was is not read, and overwritten.
func (w *watcher) take(m *win.MSG, at time.Duration) {
	w.drained = true
	size := uint32(len(w.buf))
	n := win.GetRawInputData(win.HRAWINPUT(m.LParam), win.RID_INPUT, unsafe.Pointer(&w.buf[0]), &size, headerSize)
	win.DefWindowProc(m.HWnd, m.Message, m.WParam, m.LParam) // frees it
	if int32(n) > 0 && int(n) <= len(w.buf) {
		if e, ok := parse(w.buf[:n]); ok {
			e.at = at
			w.judge.take(e)
		}
	}
	clear(w.buf[:])
}

// lastInput asks for the last input of whatever origin.
func (w *watcher) lastInput() {
	info := lastInputInfo{cbSize: uint32(unsafe.Sizeof(lastInputInfo{}))}
	if !getLastInputInfo(&info) {
		return
	}
	up := getTickCount64()
	w.any = w.ticks.look(clock.Now(), time.Duration(up)*time.Millisecond, uint32(up), info.dwTime)
	w.blind = w.gap.look(w.any, w.judge.seen, w.any > w.judge.seen && elsewhere())
}

// elsewhere reports whether input goes to another desktop than this thread's: that of the logon screen, or of a question for
// an administrator's consent. One that may not be looked at is another.
func elsewhere() bool {
	const readObjects = 0x0001 // DESKTOP_READOBJECTS
	input, err := openInputDesktop(0, false, readObjects)
	if err != nil {
		return true
	}
	defer func() { _ = closeDesktop(input) }()
	here, err := getThreadDesktop(windows.GetCurrentThreadId())
	if err != nil {
		return true
	}
	return nameOf(input) != nameOf(here)
}

// nameOf is the name of a desktop, "" if it cannot be read.
func nameOf(desktop windows.Handle) string {
	var name [256]uint16
	var n uint32
	const uoiName = 2 // UOI_NAME
	if err := getUserObjectInformation(desktop, uoiName, unsafe.Pointer(&name[0]), uint32(unsafe.Sizeof(name)), &n); err != nil {
		return ""
	}
	return windows.UTF16ToString(name[:])
}

// news is what is known now. Without raw input everything counts, and it is said so.
func (w *watcher) news() said {
	j := &w.judge
	s := said{Raw: w.raw, Remote: j.remote, Devices: j.hardware(), At: j.at, Injected: j.injected, Count: j.count}
	if !w.raw {
		s.At = w.any
		return s
	}
	s.Lenient, s.Blind = j.lenient(), w.blind
	return s
}

// wait sleeps until there is something to look at or to say. After input it leaves what follows in the queue for a while, so
// that a moving mouse costs one look a second.
func (w *watcher) wait(left time.Duration) {
	switch {
	case w.moved:
		w.moved = false
		time.Sleep(min(lull, max(left, 0)))
		return
	case w.drained:
		time.Sleep(tremble)
		return
	case !w.raw:
		left = min(left, poll)
	}
	const allInput, inputAvailable = 0x04ff, 0x0004 // QS_ALLINPUT, MWMO_INPUTAVAILABLE
	ms := uint32(max(left, 0).Milliseconds()) + 1
	if _, err := msgWaitForMultipleObjectsEx(0, nil, ms, allInput, inputAvailable); err != nil {
		time.Sleep(min(time.Duration(ms)*time.Millisecond, lull))
	}
}
