package notify

import (
	"context"
	"errors"
	"fmt"
	"image"
	"log"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"unsafe"

	"github.com/lxn/win"
)

// Screen shows a warning on the monitors of this Windows session: a card with a button on the monitor with the pointer, a
// copy without one on each other, and in the last seconds everything else dark. Nothing of it ever takes the focus by
// itself, and only the button takes clicks.
type Screen struct {
	report func(Report)
	see    func() eyes

	mu       sync.Mutex
	wanted   wanted
	listener win.HWND // 0 while Run does not run
}

// wanted is what is to be seen; nil is nothing.
type wanted struct{ notice, banner *Message }

// NewScreen is a Screen that tells report when the person presses the button. report must not block.
func NewScreen(report func(Report)) *Screen { return &Screen{report: report, see: newEyes} }

// Notice is the card with the button.
func (s *Screen) Notice() Surface { return half{s, func(w *wanted, m *Message) { w.notice = m }} }

// Banner is the dark monitors, with copies of the card that nobody can hide.
func (s *Screen) Banner() Surface { return half{s, func(w *wanted, m *Message) { w.banner = m }} }

// half is one of the two surfaces of a Screen.
type half struct {
	screen *Screen
	set    func(*wanted, *Message)
}

// Show is as Surface says.
func (h half) Show(m Message) { h.want(&m) }

// Hide is as Surface says.
func (h half) Hide() { h.want(nil) }

func (h half) want(m *Message) {
	h.screen.mu.Lock()
	defer h.screen.mu.Unlock()
	h.set(&h.screen.wanted, m)
	if h.screen.listener != 0 {
		win.PostMessage(h.screen.listener, wmWanted, 0, 0)
	}
}

// wmWanted tells the listener that something else is wanted.
const wmWanted = win.WM_APP + 1

// Run shows what is wanted until ctx ends, and then takes everything away.
func (s *Screen) Run(ctx context.Context) error {
	runtime.LockOSThread() // windows belong to a thread
	defer runtime.UnlockOSThread()
	st := &stage{ctx: ctx, screen: s, cards: map[win.HWND]*cardWindow{}, speaker: newSpeaker()}
	if err := st.open(); err != nil {
		return fmt.Errorf("show warnings: %w", err)
	}
	defer st.close()
	go st.speaker.run(ctx)
	s.listen(st.listener)
	defer s.listen(0)
	defer context.AfterFunc(ctx, func() { win.PostMessage(st.listener, win.WM_CLOSE, 0, 0) })()
	st.update()
	return st.loop()
}

func (s *Screen) listen(w win.HWND) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listener = w
}

func (s *Screen) now() wanted {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wanted
}

// stage is all that Run has on the screen. It belongs to Run's thread.
type stage struct {
	ctx      context.Context
	screen   *Screen
	instance win.HINSTANCE
	class    *uint16
	listener win.HWND // never seen: hears of other monitors and colours
	each     uintptr  // callback of enumDisplayMonitors
	buttons  uintptr  // window procedure of buttons
	found    []monitor

	speaker speaker
	eyes    eyes
	scenes  []scene // on the screen
	dims    []win.HWND
	cards   map[win.HWND]*cardWindow
	order   []*cardWindow
	said    string // the last error
}

// className is the class of every window of a Screen.
const className = "StepawayWarning"

func (st *stage) open() error {
	st.instance = win.GetModuleHandle(nil)
	class, err := syscall.UTF16PtrFromString(className)
	if err != nil {
		return err
	}
	st.class = class
	st.each, st.buttons = syscall.NewCallback(st.foundMonitor), syscall.NewCallback(st.serveButton)
	wc := win.WNDCLASSEX{LpfnWndProc: syscall.NewCallback(st.serve), HInstance: st.instance, LpszClassName: class,
		HCursor: win.LoadCursor(0, win.MAKEINTRESOURCE(win.IDC_ARROW))}
	wc.CbSize = uint32(unsafe.Sizeof(wc))
	if win.RegisterClassEx(&wc) == 0 {
		return errors.New("a class of windows cannot be made")
	}
	st.listener, err = st.window(0, "Stepaway", win.WS_POPUP, image.Rectangle{})
	if err != nil {
		win.UnregisterClass(class)
		return err
	}
	return nil
}

// window makes a window that is not yet to be seen.
func (st *stage) window(extended uint32, name string, style uint32, at image.Rectangle) (win.HWND, error) {
	text, err := syscall.UTF16PtrFromString(name)
	if err != nil {
		return 0, fmt.Errorf("make a window: %w", err)
	}
	w := win.CreateWindowEx(extended, st.class, text, style, int32(at.Min.X), int32(at.Min.Y), int32(at.Dx()), int32(at.Dy()),
		st.listener, 0, st.instance, nil) // what has an owner is on no task bar
	if w == 0 {
		return 0, errors.New("make a window: the system refuses")
	}
	return w, nil
}

func (st *stage) close() {
	st.clear()
	win.DestroyWindow(st.listener)
	win.UnregisterClass(st.class)
}

// loop serves the thread's messages until the listener is told to end.
func (st *stage) loop() error {
	var m win.MSG
	for {
		switch win.GetMessage(&m, 0, 0, 0) {
		case -1:
			return errors.New("show warnings: no messages arrive")
		case 0:
			return nil
		}
		if st.isDialog(&m) {
			continue
		}
		win.TranslateMessage(&m)
		win.DispatchMessage(&m)
	}
}

// isDialog lets Tab, Enter and Space work in a card that the person has given the focus.
func (st *stage) isDialog(m *win.MSG) bool {
	for _, c := range st.order {
		if c.button != 0 && (m.HWnd == c.window || m.HWnd == c.button) {
			return win.IsDialogMessage(c.window, m)
		}
	}
	return false
}

// serve is the window procedure of every window.
func (st *stage) serve(w win.HWND, message uint32, wParam, lParam uintptr) uintptr {
	if c := st.cards[w]; c != nil {
		if result, done := c.serve(message, wParam); done {
			return result
		}
	}
	switch message {
	case wmWanted, win.WM_DISPLAYCHANGE, win.WM_SETTINGCHANGE, win.WM_SYSCOLORCHANGE, win.WM_DPICHANGED:
		if w == st.listener {
			st.update()
		}
		return 0
	case win.WM_CLOSE: // from others it means nothing
		if w == st.listener && st.ctx.Err() != nil {
			win.PostQuitMessage(0)
		}
		return 0
	case win.WM_MOUSEACTIVATE:
		return maNoActivate
	case win.WM_PAINT:
		if slices.Contains(st.dims, w) {
			paintDim(w)
			return 0
		}
	}
	return win.DefWindowProc(w, message, wParam, lParam)
}

// update brings the screen to what is wanted, and puts it on top again.
func (st *stage) update() {
	err := st.show(st.screen.now())
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == st.said {
		return
	}
	st.said = text
	if err != nil {
		log.Printf("warning not shown: %v", err)
	}
	st.screen.report(Report{Err: err})
}

func (st *stage) show(w wanted) error {
	m := w.notice
	if m == nil {
		m = w.banner
	}
	if m == nil {
		st.clear()
		return nil
	}
	monitors, err := st.monitors()
	if err != nil {
		return err
	}
	scenes, eyes := scenes(monitors, w.notice != nil, w.banner != nil), st.screen.see()
	if !slices.Equal(scenes, st.scenes) || eyes != st.eyes {
		st.clear()
		st.eyes = eyes
		if err := st.set(scenes, *m); err != nil {
			st.clear()
			return err
		}
		defer st.speak()
	}
	for _, c := range st.order {
		c.say(*m)
	}
	st.raise()
	return nil
}

// set makes the windows of scenes, in place of none.
func (st *stage) set(scenes []scene, m Message) error {
	for _, s := range scenes {
		if s.dim {
			dim, err := st.window(apart|win.WS_EX_LAYERED|win.WS_EX_TRANSPARENT, "Stepaway", win.WS_POPUP, s.monitor.area)
			if err != nil {
				return err
			}
			st.dims = append(st.dims, dim)
			if err := setLayeredWindowAttributes(dim, 0, dimAlpha, lwaAlpha); err != nil {
				return fmt.Errorf("dim a monitor: %w", err)
			}
		}
	}
	for _, s := range scenes {
		c, err := st.newCard(s, m)
		if err != nil {
			return err
		}
		st.cards[c.window] = c
		st.order = append(st.order, c)
	}
	st.scenes = scenes
	return nil
}

// speak lets screen readers say the card with the button, once it is to be seen.
func (st *stage) speak() {
	for _, c := range st.order {
		if c.button != 0 {
			st.speaker.say(c.window)
		}
	}
}

// clear takes everything off the screen.
func (st *stage) clear() {
	for _, c := range st.order {
		delete(st.cards, c.window)
		win.DestroyWindow(c.window)
	}
	for _, w := range st.dims {
		win.DestroyWindow(w)
	}
	st.scenes, st.dims, st.order = nil, nil, nil
}

// raise puts everything above what else wants to be on top, the cards highest.
func (st *stage) raise() {
	const flags = win.SWP_NOMOVE | win.SWP_NOSIZE | win.SWP_NOACTIVATE | win.SWP_SHOWWINDOW
	for _, w := range st.dims {
		win.SetWindowPos(w, win.HWND_TOPMOST, 0, 0, 0, 0, flags)
	}
	for _, c := range st.order {
		win.SetWindowPos(c.window, win.HWND_TOPMOST, 0, 0, 0, 0, flags)
	}
}

// monitors asks for the monitors of this session.
func (st *stage) monitors() ([]monitor, error) {
	st.found = nil
	if err := enumDisplayMonitors(0, nil, st.each, 0); err != nil {
		return nil, fmt.Errorf("find the monitors: %w", err)
	}
	if len(st.found) == 0 {
		return nil, errors.New("find the monitors: there are none")
	}
	return st.found, nil
}

// foundMonitor is called for each monitor; 1 asks for the next.
func (st *stage) foundMonitor(h win.HMONITOR, _ win.HDC, _ *win.RECT, _ uintptr) uintptr {
	info := win.MONITORINFO{}
	info.CbSize = uint32(unsafe.Sizeof(info))
	if !win.GetMonitorInfo(h, &info) {
		return 1
	}
	m := monitor{area: rectangleOf(info.RcMonitor), room: rectangleOf(info.RcWork), dpi: 96}
	if m.room.Empty() {
		m.room = m.area
	}
	var x, y uint32
	if getDpiForMonitor(h, mdtEffectiveDPI, &x, &y) == 0 && x >= 48 && x <= 960 {
		m.dpi = int(x)
	}
	var at win.POINT
	m.pointer = win.GetCursorPos(&at) && image.Pt(int(at.X), int(at.Y)).In(m.area)
	st.found = append(st.found, m)
	return 1
}
