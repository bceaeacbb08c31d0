package x11

import "fmt"

// Opcodes of core requests.
const (
	opCreateWindow     = 1
	opChangeAttributes = 2
	opGetAttributes    = 3
	opDestroyWindow    = 4
	opMapWindow        = 8
	opUnmapWindow      = 10
	opConfigureWindow  = 12
	opGetGeometry      = 14
	opQueryTree        = 15
	opInternAtom       = 16
	opChangeProperty   = 18
	opDeleteProperty   = 19
	opGetProperty      = 20
	opSetSelection     = 22
	opGetSelection     = 23
	opSendEvent        = 25
	opGrabPointer      = 26
	opUngrabPointer    = 27
	opGrabKeyboard     = 31
	opUngrabKeyboard   = 32
	opQueryPointer     = 38
	opGetInputFocus    = 43
	opCreateGC         = 55
	opFreeGC           = 60
	opPutImage         = 72
	opQueryExtension   = 98
)

// Window says what a new window is like.
type Window struct {
	Parent           uint32 // 0 for the root window
	X, Y             int16
	Width, Height    uint16 // pixels, at least 1
	Background       uint32 // pixel
	EventMask        uint32
	OverrideRedirect bool // no window manager places or frames it
}

// CreateWindow makes a window with the root's visual. It is not yet on the screen: see MapWindow.
func (c *Conn) CreateWindow(w Window) (uint32, error) {
	id, err := c.NewID()
	if err != nil {
		return 0, err
	}
	if w.Parent == 0 {
		w.Parent = c.Screen.Root
	}
	redirect := uint32(0)
	if w.OverrideRedirect {
		redirect = 1
	}
	const backPixel, overrideRedirect, eventMask = 1 << 1, 1 << 9, 1 << 11
	return id, c.send(opCreateWindow, c.Screen.Depth, words(id, w.Parent, pair(uint16(w.X), uint16(w.Y)), pair(w.Width, w.Height),
		pair(0, 1), c.Screen.Visual, backPixel|overrideRedirect|eventMask, w.Background, redirect, w.EventMask))
}

// DestroyWindow takes a window away.
func (c *Conn) DestroyWindow(id uint32) error { return c.send(opDestroyWindow, 0, words(id)) }

// MapWindow puts a window on the screen.
func (c *Conn) MapWindow(id uint32) error { return c.send(opMapWindow, 0, words(id)) }

// UnmapWindow takes a window off the screen and keeps it.
func (c *Conn) UnmapWindow(id uint32) error { return c.send(opUnmapWindow, 0, words(id)) }

// SelectInput asks for events of a window, in place of what was asked for before.
func (c *Conn) SelectInput(id, mask uint32) error {
	return c.send(opChangeAttributes, 0, words(id, 1<<11, mask))
}

// Raise puts a window above its siblings.
func (c *Conn) Raise(id uint32) error {
	return c.send(opConfigureWindow, 0, words(id, 1<<6, 0))
}

// Place moves a window, sets its size and puts it above its siblings.
func (c *Conn) Place(id uint32, x, y int16, width, height uint16) error {
	return c.send(opConfigureWindow, 0, words(id, 1|2|4|8|1<<6, uint32(x), uint32(y), uint32(width), uint32(height), 0))
}

// Attributes of a window.
type Attributes struct {
	Viewable         bool // on the screen, and so are its ancestors
	InputOnly        bool
	OverrideRedirect bool
}

// GetAttributes asks how a window is.
func (c *Conn) GetAttributes(id uint32) (Attributes, error) {
	m, err := c.ask(opGetAttributes, 0, words(id))
	if err != nil {
		return Attributes{}, err
	}
	s := scan{b: m[12:]}
	class := s.u16()
	s.take(12)
	viewable := s.u8() == 2 // at 26
	redirect := s.u8() == 1
	return Attributes{Viewable: viewable, InputOnly: class == 2, OverrideRedirect: redirect}, s.err("the window's attributes")
}

// Rect is a place on the screen, in pixels from its parent's upper left corner.
type Rect struct {
	X, Y          int16
	Width, Height uint16
}

// GetGeometry asks where a window is within its parent.
func (c *Conn) GetGeometry(id uint32) (Rect, error) {
	m, err := c.ask(opGetGeometry, 0, words(id))
	if err != nil {
		return Rect{}, err
	}
	s := scan{b: m[12:]}
	return readRect(&s), s.err("the window's geometry")
}

func readRect(s *scan) Rect {
	return Rect{X: int16(s.u16()), Y: int16(s.u16()), Width: s.u16(), Height: s.u16()}
}

// QueryPointer asks where the pointer is on the screen.
func (c *Conn) QueryPointer() (x, y int16, err error) {
	m, err := c.ask(opQueryPointer, 0, words(c.Screen.Root))
	if err != nil {
		return 0, 0, err
	}
	s := scan{b: m[16:]}
	x, y = int16(s.u16()), int16(s.u16())
	return x, y, s.err("the pointer's place")
}

// QueryTree lists a window's children, the lowest first.
func (c *Conn) QueryTree(id uint32) (children []uint32, err error) {
	m, err := c.ask(opQueryTree, 0, words(id))
	if err != nil {
		return nil, err
	}
	return parseTree(m)
}

func parseTree(m []byte) ([]uint32, error) {
	s := scan{b: m[16:]}
	n := int(s.u16())
	s = scan{b: m[32:]}
	list := scan{b: s.take(4 * n)}
	out := make([]uint32, 0, len(list.b)/4)
	for len(list.b) > 0 {
		out = append(out, list.u32())
	}
	return out, s.err("the list of windows")
}

// Values of Grab.
const (
	GrabSuccess    = 0
	AlreadyGrabbed = 1
)

// GrabKeyboard tries to take the keyboard. The status is GrabSuccess, AlreadyGrabbed when another client holds
// it, or a further reason why not.
func (c *Conn) GrabKeyboard(window uint32) (status byte, err error) {
	const async = 1
	m, err := c.ask(opGrabKeyboard, 0, words(window, 0, async|async<<8))
	if err != nil {
		return 0, err
	}
	return m[1], nil
}

// UngrabKeyboard gives the keyboard back.
func (c *Conn) UngrabKeyboard() error { return c.send(opUngrabKeyboard, 0, words(0)) }

// GrabPointer tries to take the pointer, as GrabKeyboard does the keyboard.
func (c *Conn) GrabPointer(window uint32) (status byte, err error) {
	const async = 1
	m, err := c.ask(opGrabPointer, 0, words(window, async<<16|async<<24, 0, 0, 0))
	if err != nil {
		return 0, err
	}
	return m[1], nil
}

// UngrabPointer gives the pointer back.
func (c *Conn) UngrabPointer() error { return c.send(opUngrabPointer, 0, words(0)) }

// SendMessage sends a client message to a window, as a window manager does: with no event mask, so that it goes
// to the client that made the window.
func (c *Conn) SendMessage(window, kind uint32, data [5]uint32) error {
	body := words(window, 0, ClientMessage|32<<8, window, kind)
	return c.send(opSendEvent, 0, append(body, words(data[:]...)...))
}

// AskToClose sends WM_DELETE_WINDOW to a window: a polite request. time is a server time in ms, or 0.
func (c *Conn) AskToClose(window, time uint32) error {
	protocols, err := c.InternAtom("WM_PROTOCOLS")
	if err != nil {
		return err
	}
	del, err := c.InternAtom("WM_DELETE_WINDOW")
	if err != nil {
		return err
	}
	return c.SendMessage(window, protocols, [5]uint32{del, time})
}

// InternAtom returns the number of a name.
func (c *Conn) InternAtom(name string) (uint32, error) {
	if len(name) > 255 {
		return 0, fmt.Errorf("x11: an atom of %d bytes", len(name))
	}
	m, err := c.ask(opInternAtom, 0, padded(words(uint32(len(name))), name))
	if err != nil {
		return 0, err
	}
	return le.Uint32(m[8:]), nil
}

// GetSelectionOwner returns the window that owns a selection, 0 if none.
func (c *Conn) GetSelectionOwner(selection uint32) (uint32, error) {
	m, err := c.ask(opGetSelection, 0, words(selection))
	if err != nil {
		return 0, err
	}
	return le.Uint32(m[8:]), nil
}

// SetSelectionOwner makes a window own a selection from now on, or nobody where the window is 0. The owner before is told
// and drops what it held ready. It fails silently if a program took the selection at a time that the server has not reached:
// see GetSelectionOwner.
func (c *Conn) SetSelectionOwner(window, selection uint32) error {
	const currentTime = 0
	return c.send(opSetSelection, 0, words(window, selection, currentTime))
}

// Atoms that need no asking.
const (
	AtomPrimary    = 1
	AtomSecondary  = 2
	AtomCutBuffer0 = 9 // the first of eight

	AtomAtom     = 4
	AtomCardinal = 6
	AtomString   = 31
	AtomWindow   = 33
	AtomWMName   = 39
	AtomWMClass  = 67
)

// Property is the value of a property, cut to the length that was asked for.
type Property struct {
	Type   uint32 // an atom; 0 if the window has no such property
	Format uint8  // bits of an item: 8, 16, 32
	Data   []byte
}

// GetProperty reads a property of a window, at most limit bytes of it, which is at most 64 KiB.
func (c *Conn) GetProperty(window, property uint32, limit int) (Property, error) {
	limit = min(max(limit, 0), 64<<10)
	m, err := c.ask(opGetProperty, 0, words(window, property, 0, 0, uint32((limit+3)/4)))
	if err != nil {
		return Property{}, err
	}
	return parseProperty(m, limit)
}

func parseProperty(m []byte, limit int) (Property, error) {
	s := scan{b: m[8:]}
	p := Property{Type: s.u32(), Format: m[1]}
	s.take(4)
	items := uint64(s.u32())
	if p.Format > 32 || p.Format%8 != 0 || items > maxMessage {
		return Property{}, fmt.Errorf("%w: a property of %d items of %d bits", ErrProtocol, items, p.Format)
	}
	s = scan{b: m[32:]}
	p.Data = s.take(int(items) * int(p.Format/8))
	p.Data = p.Data[:min(len(p.Data), limit)]
	return p, s.err("a property")
}

// DeleteProperty takes a property off a window; it need not have it.
func (c *Conn) DeleteProperty(window, property uint32) error {
	return c.send(opDeleteProperty, 0, words(window, property))
}

// ChangeProperty sets a property of a window to data, items of 8, 16 or 32 bits.
func (c *Conn) ChangeProperty(window, property, kind uint32, format byte, data []byte) error {
	if format != 8 && format != 16 && format != 32 || len(data)%int(format/8) != 0 {
		return fmt.Errorf("x11: a property of %d bytes in items of %d bits", len(data), format)
	}
	body := words(window, property, kind, uint32(format), uint32(len(data)/int(format/8)))
	return c.send(opChangeProperty, 0, padded(body, string(data)))
}
