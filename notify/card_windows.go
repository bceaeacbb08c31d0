package notify

import (
	"errors"
	"image"
	"strings"
	"syscall"
	"unsafe"

	"github.com/lxn/win"
)

// apart is how a window stays out of the person's way: it is on top, takes no focus and is in no list of windows.
const apart = win.WS_EX_TOPMOST | win.WS_EX_NOACTIVATE | win.WS_EX_TOOLWINDOW

// dimAlpha is how dark a dimmed monitor is, of 255.
const dimAlpha = 150

// cardWindow is a card on one monitor.
type cardWindow struct {
	stage   *stage
	scene   scene
	message Message
	card    card
	window  win.HWND
	button  win.HWND // 0 on a copy
	own     uintptr  // the button's window procedure
}

// newCard makes a card that is not yet to be seen. Clicks go through a copy.
func (st *stage) newCard(s scene, m Message) (*cardWindow, error) {
	extended := uint32(apart)
	if !s.button {
		extended |= win.WS_EX_LAYERED | win.WS_EX_TRANSPARENT
	}
	c := &cardWindow{stage: st, scene: s, message: m}
	c.card = planCard(s, m, st.eyes.textPercent, st.eyes.measure)
	window, err := st.window(extended, spoken(m), win.WS_POPUP|win.WS_CLIPCHILDREN, c.at())
	if err != nil {
		return nil, err
	}
	c.window = window
	if s.button {
		err = c.addButton()
	} else {
		err = setLayeredWindowAttributes(window, 0, 255, lwaAlpha)
	}
	if err != nil {
		win.DestroyWindow(window)
		return nil, err
	}
	return c, nil
}

// spoken is the name of a card, which is what a screen reader says of it.
func spoken(m Message) string {
	return strings.Join([]string{m.Title + ".", m.What, m.How}, " ")
}

func (c *cardWindow) at() image.Rectangle {
	return image.Rectangle{Max: c.card.size}.Add(c.card.place(c.scene))
}

// addButton makes the button. Windows would give a button the focus with a click, so its clicks are served here.
func (c *cardWindow) addButton() error {
	class, err := syscall.UTF16PtrFromString("BUTTON")
	if err != nil {
		return err
	}
	text, err := syscall.UTF16PtrFromString(c.message.Button)
	if err != nil {
		return err
	}
	b := c.card.button
	c.button = win.CreateWindowEx(0, class, text, win.WS_CHILD|win.WS_VISIBLE|win.WS_TABSTOP|win.BS_OWNERDRAW, int32(b.Min.X),
		int32(b.Min.Y), int32(b.Dx()), int32(b.Dy()), c.window, win.HMENU(win.IDOK), c.stage.instance, nil)
	if c.button == 0 {
		return errors.New("make the button: the system refuses")
	}
	c.own = win.SetWindowLongPtr(c.button, win.GWLP_WNDPROC, c.stage.buttons)
	return nil
}

// say brings the card to m.
func (c *cardWindow) say(m Message) {
	if c.message == m {
		return
	}
	c.message = m
	before := c.at()
	c.card = planCard(c.scene, m, c.stage.eyes.textPercent, c.stage.eyes.measure)
	const quietly = win.SWP_NOACTIVATE | win.SWP_NOZORDER
	if at := c.at(); at != before {
		win.SetWindowPos(c.window, 0, int32(at.Min.X), int32(at.Min.Y), int32(at.Dx()), int32(at.Dy()), quietly)
	}
	if b := c.card.button; c.button != 0 {
		win.SetWindowPos(c.button, 0, int32(b.Min.X), int32(b.Min.Y), int32(b.Dx()), int32(b.Dy()), quietly)
	}
	setText(c.window, spoken(m))
	win.InvalidateRect(c.window, nil, false)
}

func setText(w win.HWND, text string) {
	if p, err := syscall.UTF16PtrFromString(text); err == nil {
		win.SendMessage(w, win.WM_SETTEXT, 0, uintptr(unsafe.Pointer(p)))
	}
}

// serve is the window procedure of a card; done is false for what every window does.
func (c *cardWindow) serve(message uint32, wParam uintptr) (result uintptr, done bool) {
	switch message {
	case win.WM_ERASEBKGND:
		return 1, true
	case win.WM_PAINT:
		c.paint()
		return 0, true
	case win.WM_DRAWITEM: // the button looks different from now on
		win.InvalidateRect(c.button, nil, false)
		return 1, true
	case win.WM_ACTIVATE: // by the person's own doing
		if win.LOWORD(uint32(wParam)) != waInactive && c.button != 0 {
			win.SetFocus(c.button)
		}
		return 0, true
	case win.WM_COMMAND: // Enter, Escape, or Space on the button
		if win.HIWORD(uint32(wParam)) == win.BN_CLICKED {
			c.stage.screen.report(Report{Continued: true})
		}
		return 0, true
	}
	return 0, false
}

func (c *cardWindow) paint() {
	var ps win.PAINTSTRUCT
	dc := win.BeginPaint(c.window, &ps)
	defer win.EndPaint(c.window, &ps)
	eyes := c.stage.eyes
	paint(dc, c.card.draw(eyes.look, c.message), func(dc win.HDC) {
		for _, l := range c.card.lines {
			win.SetTextColor(dc, colourRef(eyes.look.text))
			if l.title {
				win.SetTextColor(dc, colourRef(eyes.look.title))
			}
			at := rectOf(l.at)
			eyes.text(dc, l.text, l.letters, &at, wrapped)
		}
	})
}

func (c *cardWindow) paintButton() {
	var ps win.PAINTSTRUCT
	dc := win.BeginPaint(c.button, &ps)
	defer win.EndPaint(c.button, &ps)
	look, state := c.stage.eyes.look, win.SendMessage(c.button, win.BM_GETSTATE, 0, 0)
	pressed, focused := state&win.BST_PUSHED != 0, state&win.BST_FOCUS != 0
	box := image.Rectangle{Max: c.card.button.Size()}
	text := look.buttonText
	if pressed {
		text = look.pressedText
	}
	paint(dc, drawButton(look, box.Size(), c.card.frame, pressed, focused), func(dc win.HDC) {
		win.SetTextColor(dc, colourRef(text))
		at := rectOf(box)
		c.stage.eyes.text(dc, c.message.Button, c.card.label, &at, win.DT_CENTER|win.DT_VCENTER|win.DT_SINGLELINE|win.DT_NOPREFIX)
	})
}

// serveButton is the window procedure of the buttons. What it does not serve is done as buttons do it.
func (st *stage) serveButton(w win.HWND, message uint32, wParam, lParam uintptr) uintptr {
	c := st.cards[win.GetParent(w)]
	if c == nil {
		return win.DefWindowProc(w, message, wParam, lParam)
	}
	switch message {
	case win.WM_PAINT:
		c.paintButton()
		return 0
	case win.WM_LBUTTONDOWN, win.WM_LBUTTONDBLCLK:
		win.SetCapture(w)
		win.SendMessage(w, win.BM_SETSTATE, 1, 0)
		return 0
	case win.WM_LBUTTONUP:
		c.released(image.Pt(int(win.GET_X_LPARAM(lParam)), int(win.GET_Y_LPARAM(lParam))))
		return 0
	}
	return win.CallWindowProc(c.own, w, message, wParam, lParam)
}

// released ends a click on the button at a point of the button's own.
func (c *cardWindow) released(at image.Point) {
	win.ReleaseCapture()
	win.SendMessage(c.button, win.BM_SETSTATE, 0, 0)
	if at.In(image.Rectangle{Max: c.card.button.Size()}) {
		c.stage.screen.report(Report{Continued: true})
	}
}

// paintDim paints a dimmed monitor, which is black and lets much of what is under it through.
func paintDim(w win.HWND) {
	var ps win.PAINTSTRUCT
	dc := win.BeginPaint(w, &ps)
	defer win.EndPaint(w, &ps)
	size := rectangleOf(ps.RcPaint)
	win.BitBlt(dc, int32(size.Min.X), int32(size.Min.Y), int32(size.Dx()), int32(size.Dy()), 0, 0, 0, win.BLACKNESS)
}
