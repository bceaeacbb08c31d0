package idle

import (
	"math/bits"
	"strconv"
	"strings"
)

// capability is what a device says it can send, as the kernel shows it in sysfs.
type capability struct {
	key, rel, abs, prop bitmap
}

// Codes that tell kinds of devices apart.
const (
	keyEsc, keyCapsLock   = 1, 58
	keyKP7, keyKPDot      = 71, 83
	btnLeft               = 0x110
	btnJoystick, btnDigi  = 0x120, 0x140 // joysticks and gamepads lie between
	btnTouch              = 0x14a
	btnStylus             = 0x14b
	absMTPosition         = 0x35
	propDirect, propAccel = 1, 6
)

// touchedByPeople tells whether a device is a keyboard, a pointer, or a touch or pen surface. Barcode scanners, badge
// readers and foot switches are keyboards. A device that has only power, lid, radio or sound keys is none, and neither
// is a gamepad, a joystick or an accelerometer.
func (c capability) touchedByPeople() bool {
	if c.prop.has(propAccel) {
		return false
	}
	typing := c.key.between(keyEsc, keyCapsLock) || c.key.between(keyKP7, keyKPDot)
	pointer := c.rel.has(relX) && c.rel.has(relY)
	if c.key.between(btnJoystick, btnDigi-1) && !typing && !(pointer && c.key.has(btnLeft)) {
		return false
	}
	surface := c.abs.has(absX) && c.abs.has(absY) || c.abs.has(absMTPosition)
	pressed := c.key.has(btnLeft) || c.key.between(btnDigi, btnStylus)
	return typing || pointer || c.rel.has(relWheel) || surface && (pressed || c.prop.has(propDirect))
}

// bitmap has its lowest word first.
type bitmap []uint64

func (m bitmap) has(bit int) bool {
	return bit/64 < len(m) && m[bit/64]>>(bit%64)&1 == 1
}

func (m bitmap) between(from, to int) bool {
	for bit := from; bit <= to; bit++ {
		if m.has(bit) {
			return true
		}
	}
	return false
}

// parseBitmap reads the kernel's hexadecimal words, of which the highest comes first. What does not parse is empty.
func parseBitmap(s string) bitmap {
	words := strings.Fields(s)
	if bits.UintSize != 64 || len(words) > 32 {
		return nil
	}
	m := make(bitmap, len(words))
	for i, w := range words {
		v, err := strconv.ParseUint(w, 16, 64)
		if err != nil {
			return nil
		}
		m[len(words)-1-i] = v
	}
	return m
}
