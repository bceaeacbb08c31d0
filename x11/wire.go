package x11

import (
	"encoding/binary"
	"errors"
	"fmt"
)

var le = binary.LittleEndian

// ErrProtocol is wrapped by every error that says the server sent what the protocol does not allow, or more
// than this client takes. The connection is of no further use then.
var ErrProtocol = errors.New("x11: the server broke the protocol")

// scan reads fields off a message. Past the end it yields zeros and remembers that it was short, so a parser
// checks once, at its end.
type scan struct {
	b     []byte
	short bool
}

func (s *scan) take(n int) []byte {
	if n < 0 || n > len(s.b) {
		s.b, s.short = nil, true
		return nil
	}
	v := s.b[:n]
	s.b = s.b[n:]
	return v
}

func (s *scan) u8() uint8 {
	if v := s.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (s *scan) u16() uint16 {
	if v := s.take(2); v != nil {
		return le.Uint16(v)
	}
	return 0
}

func (s *scan) u32() uint32 {
	if v := s.take(4); v != nil {
		return le.Uint32(v)
	}
	return 0
}

// i64 reads an INT64 as the SYNC extension writes it, the high word first.
func (s *scan) i64() int64 {
	hi := s.u32()
	return int64(uint64(hi)<<32 | uint64(s.u32()))
}

// fixed reads an XInput2 FP3232.
func (s *scan) fixed() float64 {
	whole := int32(s.u32())
	return float64(whole) + float64(s.u32())/(1<<32)
}

func (s *scan) err(what string) error {
	if s.short {
		return fmt.Errorf("%w: %s is cut short", ErrProtocol, what)
	}
	return nil
}

// pad is how many bytes bring n to a multiple of four.
func pad(n int) int { return -n & 3 }

// words lays 32-bit values out for the wire.
func words(v ...uint32) []byte {
	b := make([]byte, 0, 4*len(v))
	for _, w := range v {
		b = le.AppendUint32(b, w)
	}
	return b
}

// pair puts two 16-bit values in one word, the first one first on the wire.
func pair(a, b uint16) uint32 { return uint32(a) | uint32(b)<<16 }

// padded appends s and the bytes that bring it to a multiple of four.
func padded(b []byte, s string) []byte {
	b = append(b, s...)
	return append(b, make([]byte, pad(len(s)))...)
}
