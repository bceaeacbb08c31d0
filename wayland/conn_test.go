package wayland

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// compositor is the far end of a connection, and does as a test says.
type compositor struct {
	t testing.TB
	net.Conn
}

// connect returns both ends of a connection. The far one has not answered yet.
func connect(t testing.TB) (near net.Conn, far compositor) {
	t.Helper()
	l, err := net.Listen("unix", t.TempDir()+"/s")
	check(t, err)
	defer l.Close()
	near, err = net.Dial("unix", l.Addr().String())
	check(t, err)
	c, err := l.Accept()
	check(t, err)
	t.Cleanup(func() { near.Close(); c.Close() })
	return near, compositor{t, c}
}

// request reads what was asked.
func (c compositor) request() (object uint32, opcode uint16, a *args) {
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	m, err := readMessage(c)
	if err != nil {
		return 0, 0, &args{}
	}
	return m.object, m.opcode, &args{b: m.body}
}

// tell sends events.
func (c compositor) tell(events ...[]byte) { c.Write(slices.Concat(events...)) }

func global(number uint32, name string, version uint32) []byte {
	return encode(registryID, 0, number, name, version)
}

func done(callback uint32) []byte { return encode(callback, 0, uint32(0)) }

// offer answers the greeting with globals.
func (c compositor) offer(globals ...[]byte) {
	c.request() // get_registry
	_, _, a := c.request()
	c.tell(append(globals, done(a.number()))...)
}

// greeted is a connection to a compositor with one seat and a notifier.
func greeted(t testing.TB, version uint32) (*Conn, compositor) {
	t.Helper()
	near, far := connect(t)
	go far.offer(global(1, "wl_compositor", 6), global(7, "wl_seat", 9), global(9, notifierName, version))
	w, err := New(t.Context(), near)
	check(t, err)
	t.Cleanup(func() { w.Close() })
	return w, far
}

// notification takes the requests that make one, and returns it.
func (c compositor) notification(seat uint32, after time.Duration) uint32 {
	c.t.Helper()
	_, _, a := c.request()
	if global, name, version, id := a.number(), a.text(), a.number(), a.number(); global != seat || name != "wl_seat" || version != 1 || id == 0 {
		c.t.Errorf("bound %d %s %d %d", global, name, version, id)
	}
	object, opcode, a := c.request()
	id, ms := a.number(), a.number()
	if object != firstFree+1 || opcode != 2 || ms != uint32(after.Milliseconds()) {
		c.t.Errorf("asked object %d, request %d, for %d ms", object, opcode, ms)
	}
	return id
}

func TestInputIsTold(t *testing.T) {
	w, far := greeted(t, 2)
	check(t, w.WatchInput(time.Second))
	far.request() // bind the notifier
	n := far.notification(7, time.Second)
	for i, event := range []struct {
		opcode uint16
		want   Event
		active bool
	}{{0, Idled, false}, {1, Resumed, true}, {0, Idled, false}, {1, Resumed, true}} {
		if i == 0 && w.Active() {
			t.Error("active before anything was told")
		}
		far.tell(encode(n, event.opcode))
		if e, err := w.Next(t.Context()); err != nil || e != event.want || w.Active() != event.active {
			t.Fatalf("event %d: %v, %v, active %v", i, e, err, w.Active())
		}
	}

	far.tell(global(12, "wl_seat", 9)) // a second seat comes, and goes while it has input
	go func() {
		second := far.notification(12, time.Second)
		far.tell(encode(second, 1), encode(n, 0))
	}()
	for _, want := range []Event{Resumed, Idled} {
		if e, err := w.Next(t.Context()); err != nil || e != want || !w.Active() {
			t.Fatalf("%v, %v, active %v", e, err, w.Active())
		}
	}
	go func() {
		_, _, a := far.request()
		far.tell(encode(registryID, 1, uint32(12)), done(a.number()))
	}()
	if err := w.Sync(t.Context()); err != nil || w.Active() {
		t.Errorf("%v, active %v after the seat was gone", err, w.Active())
	}
}

func TestNextCanBeCutShort(t *testing.T) {
	w, far := greeted(t, 2)
	check(t, w.WatchInput(time.Second))
	far.request()
	n := far.notification(7, time.Second)
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		if _, err := w.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		cancel()
	}
	far.tell(encode(n, 1))
	if e, err := w.Next(t.Context()); err != nil || e != Resumed {
		t.Errorf("%v, %v", e, err)
	}
}

func TestTheFirstVersionIsNotAsked(t *testing.T) {
	w, _ := greeted(t, 1)
	if err := w.WatchInput(time.Second); err == nil || !strings.Contains(err.Error(), "in version 1") {
		t.Errorf("%v", err)
	}
}

func TestHostileCompositors(t *testing.T) {
	flood := func(c compositor, b []byte) {
		go io.Copy(io.Discard, c)
		for b = slices.Repeat(b, 50); ; {
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	}
	for name, do := range map[string]func(compositor){
		"silent":                func(c compositor) { io.Copy(io.Discard, c) },
		"gone":                  func(c compositor) { c.Close() },
		"refuses":               func(c compositor) { c.tell(encode(1, 0, uint32(1), uint32(3), "no")) },
		"a short message":       func(c compositor) { c.tell([]byte{2, 0, 0, 0, 0, 0, 4, 0}) },
		"a crooked message":     func(c compositor) { c.tell([]byte{2, 0, 0, 0, 0, 0, 9, 0}) },
		"a huge message":        func(c compositor) { c.tell([]byte{2, 0, 0, 0, 0, 0, 0xfc, 0xff}) },
		"half a global":         func(c compositor) { c.tell(encode(registryID, 0, uint32(1))) },
		"a name without an end": func(c compositor) { c.tell(encode(registryID, 0, uint32(1), uint32(0xffffffff), uint32(1))) },
		"globals without end":   func(c compositor) { flood(c, global(1, "wl_seat", 1)) },
		"words without end":     func(c compositor) { flood(c, encode(77, 3, uint32(1))) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			near, far := connect(t)
			go do(far)
			if w, err := New(t.Context(), near); err == nil {
				t.Errorf("greeted: %+v", w)
			}
			if _, err := near.Write([]byte("x")); err == nil {
				t.Error("the connection is still open")
			}
		})
	}
}

// FuzzCompositor: whatever a compositor says, this side neither panics nor hangs.
func FuzzCompositor(f *testing.F) {
	f.Add(slices.Concat(global(1, "wl_seat", 9), global(2, notifierName, 2), done(4)))
	f.Add(encode(1, 0, uint32(1), uint32(2), "invalid object"))
	f.Fuzz(func(t *testing.T, said []byte) {
		near, far := net.Pipe()
		go io.Copy(io.Discard, far)
		go func() { far.Write(said); far.Close() }()
		w, err := New(t.Context(), near)
		if err != nil {
			return
		}
		w.WatchInput(time.Second)
		for range 100 {
			if _, err := w.Next(t.Context()); err != nil {
				break
			}
		}
		w.Close()
	})
}
