package idle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The few words of D-Bus that a session's bus is spoken to in. That bus is the user's own, so a message from it is at most
// 16 KiB, and nothing but numbers and names is read from it.

var errBus = errors.New("idle: the session bus broke the protocol")

const (
	maxBusMessage = 16 << 10
	busCall       = 1
	busReply      = 2
	busError      = 3
	busSignal     = 4
	noAutoStart   = 2
)

// Fields of a message's head.
const (
	fieldPath, fieldInterface, fieldMember = 1, 2, 3
	fieldReplySerial                       = 5
	fieldDestination, fieldSignature       = 6, 8
)

// busMessage is what is taken from a message.
type busMessage struct {
	kind      byte
	answers   uint32 // serial of the call, for a reply or an error
	member    string
	signature string
	body      []byte
	order     binary.ByteOrder
}

// encodeCall makes the bytes of a call whose argument is a string or nothing.
func encodeCall(serial uint32, to, path, iface, member, argument string) []byte {
	le := binary.LittleEndian
	var body []byte
	if argument != "" {
		body = append(le.AppendUint32(nil, uint32(len(argument))), argument+"\x00"...)
	}
	b := []byte{'l', busCall, noAutoStart, 1}
	b = le.AppendUint32(b, uint32(len(body)))
	b = le.AppendUint32(b, serial)
	b = append(b, 0, 0, 0, 0)
	field := func(code byte, kind, value string) {
		if value == "" {
			return
		}
		b = append(pad(b, 8), code, 1, kind[0], 0)
		if kind == "g" {
			b = append(b, byte(len(value)))
		} else {
			b = le.AppendUint32(b, uint32(len(value)))
		}
		b = append(append(b, value...), 0)
	}
	field(fieldPath, "o", path)
	field(fieldInterface, "s", iface)
	field(fieldMember, "s", member)
	field(fieldDestination, "s", to)
	if argument != "" {
		field(fieldSignature, "g", "s")
	}
	le.PutUint32(b[12:], uint32(len(b)-16))
	return append(pad(b, 8), body...)
}

func pad(b []byte, to int) []byte {
	for len(b)%to != 0 {
		b = append(b, 0)
	}
	return b
}

// readBusMessage reads one message.
func readBusMessage(r io.Reader) (m busMessage, err error) {
	var head [16]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return m, err
	}
	switch head[0] {
	case 'l':
		m.order = binary.LittleEndian
	case 'B':
		m.order = binary.BigEndian
	default:
		return m, fmt.Errorf("%w: byte order %d", errBus, head[0])
	}
	m.kind = head[1]
	body, fields := uint64(m.order.Uint32(head[4:])), uint64(m.order.Uint32(head[12:]))
	if body+fields > maxBusMessage {
		return m, fmt.Errorf("%w: a message of %d bytes", errBus, body+fields)
	}
	padded := (fields + 7) &^ 7
	rest := make([]byte, padded+body)
	if _, err := io.ReadFull(r, rest); err != nil {
		return m, err
	}
	m.body = rest[padded:]
	return m, m.readFields(rest[:fields])
}

// readFields takes from the head what is needed. Values other than names and numbers do not belong there.
func (m *busMessage) readFields(b []byte) error {
	for at := 0; at < len(b); {
		at = (at + 7) &^ 7
		if at+4 > len(b) || b[at+1] != 1 || b[at+3] != 0 {
			return fmt.Errorf("%w: its head cannot be read", errBus)
		}
		code, kind := b[at], b[at+2]
		at += 4
		text, number, size, ok := m.value(kind, b[at:])
		if !ok {
			return fmt.Errorf("%w: its head cannot be read", errBus)
		}
		at += size
		switch {
		case code == fieldReplySerial && kind == 'u':
			m.answers = number
		case code == fieldMember && kind == 's':
			m.member = text
		case code == fieldSignature && kind == 'g':
			m.signature = text
		}
	}
	return nil
}

// value reads a value whose type has one letter.
func (m *busMessage) value(kind byte, b []byte) (text string, number uint32, size int, ok bool) {
	switch {
	case kind == 'u' && len(b) >= 4:
		return "", m.order.Uint32(b), 4, true
	case (kind == 's' || kind == 'o') && len(b) >= 4:
		n := uint64(m.order.Uint32(b))
		if n+5 > uint64(len(b)) {
			return "", 0, 0, false
		}
		return string(b[4 : 4+n]), 0, int(n) + 5, true
	case kind == 'g' && len(b) >= 1:
		n := int(b[0])
		if n+2 > len(b) {
			return "", 0, 0, false
		}
		return string(b[1 : 1+n]), 0, n + 2, true
	}
	return "", 0, 0, false
}

// number64 is the body of a reply that is one number.
func (m busMessage) number64() (uint64, error) {
	if m.signature != "t" || len(m.body) < 8 {
		return 0, fmt.Errorf("%w: an answer of type %.20q", errBus, m.signature)
	}
	return m.order.Uint64(m.body), nil
}
