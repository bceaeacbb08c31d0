package x11

import (
	"fmt"
	"math"
)

// Kind of an input device, as XInput2 numbers them.
type DeviceUse uint16

const (
	MasterPointer  DeviceUse = 1
	MasterKeyboard DeviceUse = 2
	SlavePointer   DeviceUse = 3
	SlaveKeyboard  DeviceUse = 4
	Floating       DeviceUse = 5 // a slave that is attached to no master
)

// Device is an input device of a display. Name comes from the server; where the server is the user's own
// program, so does the name.
type Device struct {
	ID       uint16
	Use      DeviceUse
	Name     string     // at most 128 bytes
	Absolute [2]bool    // whether the first two axes report places, not moves
	Span     [2]float64 // from the least to the most value of the first two axes, 0 if not known
}

const (
	xiSelect       = 46
	xiQueryVersion = 47
	xiQueryDevice  = 48
	maxDevices     = 256
	maxName        = 128
)

// RawKind is what a raw event says was done. Key codes and button numbers are not kept.
type RawKind uint8

const (
	RawKey     RawKind = 13
	RawKeyUp   RawKind = 14
	RawButton  RawKind = 15 // the wheel too
	RawUp      RawKind = 16
	RawMotion  RawKind = 17
	RawTouch   RawKind = 22
	hierarchy          = 11
	keyRepeat          = 1 << 16
	everything         = 0 // XIAllDevices
	allMasters         = 1 // XIAllMasterDevices
)

// InitInput2 asks for XInput 2.2, and fails where the server has less: below 2.1 a grab hides raw events.
func (c *Conn) InitInput2() error {
	e, err := c.extension("XInputExtension")
	if err != nil {
		return err
	}
	m, err := c.ask(e.major, xiQueryVersion, words(pair(2, 2)))
	if err != nil {
		return err
	}
	s := scan{b: m[8:]}
	if major, minor := s.u16(), s.u16(); major < 2 || major == 2 && minor < 2 {
		return fmt.Errorf("x11: the server has XInput %d.%d, not 2.2", major, minor)
	}
	return nil
}

// Devices lists the display's input devices. InitInput2 comes first.
func (c *Conn) Devices() ([]Device, error) {
	e, err := c.extension("XInputExtension")
	if err != nil {
		return nil, err
	}
	m, err := c.ask(e.major, xiQueryDevice, words(everything))
	if err != nil {
		return nil, err
	}
	return parseDevices(m)
}

func parseDevices(m []byte) ([]Device, error) {
	s := scan{b: m[8:]}
	n := min(int(s.u16()), maxDevices)
	s = scan{b: m[32:]}
	var out []Device
	for ; n > 0 && !s.short; n-- {
		d := Device{ID: s.u16(), Use: DeviceUse(s.u16())}
		s.take(2) // attachment
		classes, size := s.u16(), int(s.u16())
		s.take(2) // enabled
		name := s.take(size)
		d.Name = string(name[:min(len(name), maxName)])
		s.take(pad(size))
		for ; classes > 0 && !s.short; classes-- {
			d.class(&s)
		}
		out = append(out, d)
	}
	return out, s.err("the list of input devices")
}

// class reads one of a device's abilities; only axes are of interest.
func (d *Device) class(s *scan) {
	kind, length := s.u16(), 4*int(s.u16())
	if length < 8 {
		s.take(math.MaxInt) // would not end
		return
	}
	body := scan{b: s.take(length - 4)}
	const valuator = 2
	if kind != valuator {
		return
	}
	body.take(2) // source
	axis := body.u16()
	body.take(4) // label
	least, most := body.fixed(), body.fixed()
	body.take(8 + 4) // value, resolution
	if mode := body.u8(); axis < 2 && !body.short {
		d.Absolute[axis] = mode == 1
		d.Span[axis] = max(most-least, 0)
	}
}

// SelectRawInput asks for raw events of every device that is attached to a master, and for news of devices that
// come and go. Raw events come whatever window has the focus and whoever holds a grab.
func (c *Conn) SelectRawInput() error {
	e, err := c.extension("XInputExtension")
	if err != nil {
		return err
	}
	raw := uint32(1<<RawKey | 1<<RawKeyUp | 1<<RawButton | 1<<RawUp | 1<<RawMotion | 1<<RawTouch)
	return c.send(e.major, xiSelect, words(c.Screen.Root, 2,
		pair(allMasters, 1), raw,
		pair(everything, 1), 1<<hierarchy))
}

// RawEvent is one thing done to a device.
type RawEvent struct {
	Kind   RawKind
	Source uint16     // the device it was done to, not the master it is attached to
	Time   uint32     // server time, ms
	Repeat bool       // of a key that is held, not a new press
	Axis   [2]float64 // for motion: unaccelerated values of the first two axes
	Moved  [2]bool    // which of them the event has
}

// RawEvent reads e, and tells whether it is one.
func (c *Conn) RawEvent(e Event) (RawEvent, bool) {
	x := c.exts["XInputExtension"]
	if !x.present || e.Code != genericEvent || len(e.Data) < 32 || e.Data[1] != x.major {
		return RawEvent{}, false
	}
	return parseRaw(e.Data)
}

func parseRaw(m []byte) (RawEvent, bool) {
	s := scan{b: m[8:]}
	r := RawEvent{Kind: RawKind(min(s.u16(), math.MaxUint8))}
	s.take(2) // device, a master
	r.Time = s.u32()
	s.take(4) // which key or button: not looked at
	r.Source = s.u16()
	masks := 4 * int(s.u16())
	r.Repeat = s.u32()&keyRepeat != 0
	s.take(4)
	switch r.Kind {
	case RawKey, RawKeyUp, RawButton, RawUp, RawTouch:
	case RawMotion:
		r.axes(&s, masks)
	default:
		return RawEvent{}, false
	}
	return r, !s.short
}

// axes reads the raw values of the first two axes, which lie behind all the accelerated ones.
func (r *RawEvent) axes(s *scan, masks int) {
	mask := s.take(masks)
	n := 0
	for i, b := range mask {
		for bit := range 8 {
			if b&(1<<bit) != 0 {
				if 8*i+bit < 2 {
					r.Moved[8*i+bit] = true
				}
				n++
			}
		}
	}
	s.take(8 * n)
	for i := range r.Axis {
		if r.Moved[i] {
			r.Axis[i] = s.fixed()
		}
	}
}

// DevicesChanged tells whether e says that input devices came, went or changed.
func (c *Conn) DevicesChanged(e Event) bool {
	x := c.exts["XInputExtension"]
	return x.present && e.Code == genericEvent && len(e.Data) >= 32 && e.Data[1] == x.major && le.Uint16(e.Data[8:]) == hierarchy
}
