package wayland

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// ErrProtocol says that the compositor said something that the protocol has no room for.
var ErrProtocol = errors.New("wayland: the compositor broke the protocol")

const (
	headSize   = 8
	maxMessage = 4096 // bytes; libwayland knows none that are longer
)

// message is one event, or a request.
type message struct {
	object uint32
	opcode uint16
	body   []byte
}

// readMessage reads one event.
func readMessage(r io.Reader) (message, error) {
	var head [headSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return message{}, err
	}
	word := order.Uint32(head[4:])
	size := int(word >> 16)
	if size < headSize || size > maxMessage || size%4 != 0 {
		return message{}, fmt.Errorf("%w: a message of %d bytes", ErrProtocol, size)
	}
	m := message{object: order.Uint32(head[:]), opcode: uint16(word), body: make([]byte, size-headSize)}
	_, err := io.ReadFull(r, m.body)
	return m, err
}

// order is the byte order of this machine, in which both sides talk.
var order = binary.NativeEndian

// args are the arguments of an event, read one after the other. After one that is not there, bad is set and all are zero.
type args struct {
	b   []byte
	bad bool
}

func (a *args) number() uint32 {
	if len(a.b) < 4 {
		a.b, a.bad = nil, true
		return 0
	}
	n := order.Uint32(a.b)
	a.b = a.b[4:]
	return n
}

// text reads a string: its length with the zero byte at its end, the bytes, and padding.
func (a *args) text() string {
	n := uint64(a.number())
	if padded := (n + 3) &^ 3; n == 0 || padded > uint64(len(a.b)) {
		a.b, a.bad = nil, true
		return ""
	} else {
		s, _, _ := bytes.Cut(a.b[:n], []byte{0})
		a.b = a.b[padded:]
		return string(s)
	}
}

// encode makes the bytes of a request from numbers and strings.
func encode(object uint32, opcode uint16, arguments ...any) []byte {
	b := order.AppendUint32(nil, object)
	b = append(b, 0, 0, 0, 0)
	for _, a := range arguments {
		switch v := a.(type) {
		case uint32:
			b = order.AppendUint32(b, v)
		case string:
			b = order.AppendUint32(b, uint32(len(v)+1))
			b = append(append(b, v...), 0)
			for len(b)%4 != 0 {
				b = append(b, 0)
			}
		}
	}
	order.PutUint32(b[4:], uint32(len(b))<<16|uint32(opcode))
	return b
}
