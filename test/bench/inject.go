//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"stepaway/clock"
)

// injector moves the pointer of an X server through its XTEST extension, as xdotool does, but over one standing
// connection, so that the instant of the input is known to well under a millisecond.
type injector struct {
	conn  net.Conn
	xtest byte // major opcode
	step  int16
}

// dialInjector connects to a local X server that lets its own user in without a cookie.
func dialInjector(display string) (*injector, error) {
	conn, err := net.Dial("unix", "/tmp/.X11-unix/X"+strings.TrimPrefix(display, ":"))
	if err != nil {
		return nil, err
	}
	in := &injector{conn: conn}
	if err := in.setup(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("inject input into %s: %w", display, err)
	}
	return in, nil
}

func (in *injector) setup() error {
	if _, err := in.conn.Write([]byte{'l', 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0}); err != nil {
		return err
	}
	head := make([]byte, 8)
	if _, err := io.ReadFull(in.conn, head); err != nil {
		return err
	}
	if _, err := io.CopyN(io.Discard, in.conn, 4*int64(binary.LittleEndian.Uint16(head[6:]))); err != nil {
		return err
	}
	if head[0] != 1 {
		return fmt.Errorf("the X server refuses the connection")
	}
	name := []byte("XTEST\x00\x00\x00")
	query := append([]byte{98, 0, 4, 0, 5, 0, 0, 0}, name...) // QueryExtension
	answer, err := in.ask(query)
	if err != nil {
		return err
	}
	if answer[8] != 1 {
		return fmt.Errorf("the X server has no XTEST")
	}
	in.xtest = answer[9]
	return nil
}

// ask sends a request that has an answer of 32 bytes, and returns it.
func (in *injector) ask(request []byte) ([]byte, error) {
	_ = in.conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := in.conn.Write(request); err != nil {
		return nil, err
	}
	for {
		answer := make([]byte, 32)
		if _, err := io.ReadFull(in.conn, answer); err != nil {
			return nil, err
		}
		switch answer[0] {
		case 0:
			return nil, fmt.Errorf("the X server answers with error %d", answer[1])
		case 1:
			return answer, nil
		}
	}
}

// input moves the pointer by some forty pixels and returns when that was, since boot.
func (in *injector) input() (time.Duration, error) {
	in.step = (in.step + 41) % 160
	fake := make([]byte, 36) // XTEST FakeInput: MotionNotify, absolute
	fake[0], fake[1] = in.xtest, 2
	binary.LittleEndian.PutUint16(fake[2:], 9)
	fake[4] = 6
	binary.LittleEndian.PutUint16(fake[24:], uint16(20+in.step))
	binary.LittleEndian.PutUint16(fake[26:], uint16(20+in.step))
	focus := []byte{43, 0, 1, 0} // GetInputFocus: its answer says that the input has been taken
	before := clock.Now()
	if _, err := in.ask(append(fake, focus...)); err != nil {
		return 0, err
	}
	return (before + clock.Now()) / 2, nil
}

func (in *injector) close() { in.conn.Close() }
