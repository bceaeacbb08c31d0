package probe

import "encoding/binary"

// Sizes and values of RAWINPUT on 64-bit Windows, as in the pages of RAWINPUTHEADER, RAWMOUSE, RAWKEYBOARD and RAWHID.
const (
	headerSize   = 24
	mouseSize    = 24
	keyboardSize = 16

	rimMouse, rimKeyboard, rimHID = 0, 1, 2

	mouseMoveAbsolute = 0x01
	riKeyBreak        = 0x01
)

// parse reads an event of raw input: its device, and of a key only whether it went up.
func parse(b []byte) (event, bool) {
	if len(b) < headerSize {
		return event{}, false
	}
	e := event{device: binary.LittleEndian.Uint64(b[8:])}
	body := b[headerSize:]
	switch typ := binary.LittleEndian.Uint32(b); {
	case typ == rimMouse && len(body) >= mouseSize:
		e.kind = mouse
		e.absolute = binary.LittleEndian.Uint16(body)&mouseMoveAbsolute != 0
		e.pressed = binary.LittleEndian.Uint16(body[4:]) != 0
		e.x, e.y = int32(binary.LittleEndian.Uint32(body[12:])), int32(binary.LittleEndian.Uint32(body[16:]))
	case typ == rimKeyboard && len(body) >= keyboardSize:
		e.kind = key
		e.up = binary.LittleEndian.Uint16(body[2:])&riKeyBreak != 0
	case typ == rimHID:
		e.kind = contact
	default:
		return event{}, false
	}
	return e, true
}
