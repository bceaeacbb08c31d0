package x11

import (
	"fmt"
	"strconv"
	"strings"
)

// Screen is what the server says of its first screen.
type Screen struct {
	Root          uint32 // root window
	Width, Height uint16 // pixels
	Depth         uint8  // of the root window
	Visual        uint32 // of the root window
	Red           uint32 // where the root visual has its red, in a pixel
	Green         uint32
	Blue          uint32
	Black, White  uint32 // pixels
	BitsPerPixel  uint8  // of an image of the root's depth
	ScanlinePad   uint8  // bits, of an image of the root's depth
	BigEndian     bool   // byte order of images
}

// setup is the part of the server's greeting that this client uses.
type setup struct {
	idBase, idMask uint32
	maxRequest     int // bytes
	screen         Screen
}

// parseSetup reads the body that follows the eight bytes of a successful greeting.
func parseSetup(body []byte) (setup, error) {
	s := scan{b: body}
	var out setup
	s.take(4) // release number
	out.idBase, out.idMask = s.u32(), s.u32()
	s.take(4) // motion buffer size
	vendor := int(s.u16())
	out.maxRequest = 4 * int(s.u16())
	screens, formats := s.u8(), int(s.u8())
	out.screen.BigEndian = s.u8() == 1
	s.take(9) // bitmap order, unit and pad; keycodes; unused
	s.take(vendor + pad(vendor))
	list := scan{b: s.take(8 * formats)}
	if screens == 0 || out.idMask == 0 || out.maxRequest < 4096 {
		return setup{}, fmt.Errorf("%w: a greeting without screens, identifiers or room for requests", ErrProtocol)
	}
	out.screen.read(&s)
	out.screen.format(&list)
	return out, s.err("the greeting")
}

func (sc *Screen) read(s *scan) {
	sc.Root = s.u32()
	s.take(4) // default colour map
	sc.White, sc.Black = s.u32(), s.u32()
	s.take(4) // input masks
	sc.Width, sc.Height = s.u16(), s.u16()
	s.take(8) // millimetres, installed maps
	sc.Visual = s.u32()
	s.take(2) // backing store, save unders
	sc.Depth = s.u8()
	for depths := s.u8(); depths > 0 && !s.short; depths-- {
		s.take(2) // depth
		n := s.u16()
		s.take(4)
		for ; n > 0 && !s.short; n-- {
			sc.visual(s)
		}
	}
}

func (sc *Screen) visual(s *scan) {
	id := s.u32()
	s.take(4) // class, bits per value, colour map entries
	red, green, blue := s.u32(), s.u32(), s.u32()
	s.take(4)
	if id == sc.Visual {
		sc.Red, sc.Green, sc.Blue = red, green, blue
	}
}

func (sc *Screen) format(list *scan) {
	for len(list.b) > 0 {
		depth, bits, scanline := list.u8(), list.u8(), list.u8()
		list.take(5)
		if depth == sc.Depth {
			sc.BitsPerPixel, sc.ScanlinePad = bits, scanline
		}
	}
}

// greeting is what a client says first.
func greeting(c Cookie) []byte {
	b := []byte{'l', 0, 11, 0, 0, 0}
	b = le.AppendUint16(b, uint16(len(c.Name)))
	b = le.AppendUint16(b, uint16(len(c.Data)))
	b = append(b, 0, 0)
	b = padded(b, c.Name)
	return padded(b, string(c.Data))
}

// displayNumber reads ":7" or ":7.0". A display on another host, or reached through a path, is refused.
func displayNumber(display string) (int, error) {
	number, ok := strings.CutPrefix(display, ":")
	number, _, _ = strings.Cut(number, ".")
	n, err := strconv.ParseUint(number, 10, 16)
	if !ok || err != nil {
		return 0, fmt.Errorf("x11: %.40q is not a display of this machine", display)
	}
	return int(n), nil
}
