package idle

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"stepaway/clock"
)

// answerTo makes a reply, or a signal where serial is 0, whose body is one number of 64 bits.
func answerTo(order binary.AppendByteOrder, kind byte, serial uint32, member string, number uint64) []byte {
	mark := byte('l')
	if order == binary.AppendByteOrder(binary.BigEndian) {
		mark = 'B'
	}
	fields := append([]byte{fieldReplySerial, 1, 'u', 0}, order.AppendUint32(nil, serial)...)
	fields = append(append(pad(fields, 8), fieldMember, 1, 's', 0), order.AppendUint32(nil, uint32(len(member)))...)
	fields = append(append(fields, member...), 0)
	fields = append(pad(fields, 8), fieldSignature, 1, 'g', 0, 1, 't', 0)
	b := order.AppendUint32([]byte{mark, kind, 0, 1}, 8)
	b = order.AppendUint32(b, 99)
	b = order.AppendUint32(b, uint32(len(fields)))
	return order.AppendUint64(pad(append(b, fields...), 8), number)
}

func TestBusMessages(t *testing.T) {
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		m, err := readBusMessage(bytes.NewReader(answerTo(order, busReply, 7, "Word", 1<<40)))
		if err != nil || m.kind != busReply || m.answers != 7 || m.member != "Word" {
			t.Errorf("%+v, %v", m, err)
		}
		if n, err := m.number64(); err != nil || n != 1<<40 {
			t.Errorf("%d, %v", n, err)
		}
	}
	call := encodeCall(3, "org.a", "/b", "org.c", "Do", "text")
	m, err := readBusMessage(bytes.NewReader(call))
	if err != nil || m.kind != busCall || m.member != "Do" || m.signature != "s" || string(m.body) != "\x04\x00\x00\x00text\x00" {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := m.number64(); !errors.Is(err, errBus) {
		t.Errorf("a text was taken for a number: %v", err)
	}
}

func FuzzBusMessage(f *testing.F) {
	f.Add(answerTo(binary.LittleEndian, busReply, 7, "Word", 5))
	f.Add(encodeCall(3, "org.a", "/b", "org.c", "Do", "text"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for r := bytes.NewReader(b); ; {
			m, err := readBusMessage(r)
			if err != nil {
				return
			}
			m.number64()
		}
	})
}

// userBus is a session bus as a test wants it: it lets in, and then does as do says.
func userBus(t *testing.T, do func(c net.Conn, r *bufio.Reader)) *monitor {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close(); far.Close() })
	go func() {
		defer far.Close()
		r := bufio.NewReader(far)
		if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "\x00AUTH EXTERNAL 31303030\r\n") {
			return
		}
		far.Write([]byte("OK 1234\r\n"))
		if _, err := r.ReadString('\n'); err == nil {
			do(far, r)
		}
	}()
	f := newWatch(Options{}, hooks{}).follow(me("wayland"))
	t.Cleanup(f.stop)
	return &monitor{f: f, c: near, r: bufio.NewReader(near), asleep: clock.Asleep()}
}

// serve answers every call with a number.
func serve(number func(member string) uint64, after func(member string) []byte) func(net.Conn, *bufio.Reader) {
	return func(c net.Conn, r *bufio.Reader) {
		for {
			head, err := r.Peek(16)
			if err != nil {
				return
			}
			serial := binary.LittleEndian.Uint32(head[8:])
			m, err := readBusMessage(r)
			if err != nil {
				return
			}
			c.Write(slices.Concat(answerTo(binary.LittleEndian, busReply, serial, "", number(m.member)), after(m.member)))
		}
	}
}

func TestHostileBuses(t *testing.T) {
	t.Parallel()
	flood := func(c net.Conn, r *bufio.Reader) {
		go io.Copy(io.Discard, r)
		for b := answerTo(binary.LittleEndian, busSignal, 0, "WatchFired", 1); ; {
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	}
	for name, do := range map[string]func(net.Conn, *bufio.Reader){
		"silent": func(c net.Conn, r *bufio.Reader) { io.Copy(io.Discard, r) },
		"gone":   func(c net.Conn, r *bufio.Reader) {},
		"a huge message": func(c net.Conn, r *bufio.Reader) {
			c.Write(append([]byte("l\x02\x00\x01"), slices.Repeat([]byte{0xff}, 12)...))
		},
		"no D-Bus":     func(c net.Conn, r *bufio.Reader) { c.Write([]byte("HTTP/1.1 200 OK\r\n\r\n")) },
		"signals only": flood,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := userBus(t, do).greet(t.Context(), 1000); err == nil {
				t.Error("greeted")
			}
		})
	}
}

// A monitor whose owner leaves the bus ends the watch; one that says that there is input all the time is not asked more
// than it has to be.
func TestMonitorIsWatched(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	m := userBus(t, serve(func(member string) uint64 {
		if member == "GetIdletime" {
			asked.Add(1)
		}
		return 5000
	}, func(member string) []byte {
		if member == "AddUserActiveWatch" {
			return answerTo(binary.LittleEndian, busSignal, 0, "WatchFired", 1)
		}
		return nil
	}))
	must(t, m.greet(t.Context(), 1000))
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := m.watch(ctx); err == nil {
		t.Error("the watch ended without an error")
	}
	if n := asked.Load(); n > 50 {
		t.Errorf("asked %d times in a second", n)
	}
	m.f.w.mu.Lock()
	in := m.f.input
	m.f.w.mu.Unlock()
	if in.At != 0 {
		t.Errorf("%+v: the input was before the watch", in)
	}

	m = userBus(t, serve(func(string) uint64 { return 5000 }, func(member string) []byte {
		if member == "AddUserActiveWatch" {
			return answerTo(binary.LittleEndian, busSignal, 0, "NameOwnerChanged", 1)
		}
		return nil
	}))
	must(t, m.greet(t.Context(), 1000))
	if err := m.watch(t.Context()); !errors.Is(err, errMonitorGone) {
		t.Errorf("%v", err)
	}
}
