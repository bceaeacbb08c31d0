package x11

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// hostile connects to a server that greets well and then does as do says.
func hostile(t *testing.T, do func(net.Conn)) *Conn {
	t.Helper()
	near, far := socketPair(t)
	go func() {
		defer far.Close()
		if _, err := io.ReadFull(far, make([]byte, len(greeting(Cookie{})))); err != nil {
			return
		}
		body := greetingOf(t)
		far.Write(append([]byte{1, 0, 11, 0, 0, 0, byte(len(body) / 4), 0}, body...))
		do(far)
	}()
	c, err := greet(within(t), near, Cookie{})
	check(t, err)
	c.SetTimeout(200 * time.Millisecond)
	t.Cleanup(func() { c.Close() })
	return c
}

func socketPair(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("unix", t.TempDir()+"/s")
	check(t, err)
	defer l.Close()
	near, err = net.Dial("unix", l.Addr().String())
	check(t, err)
	far, err = l.Accept()
	check(t, err)
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

func swallow(c net.Conn) { go io.Copy(io.Discard, c) }

func TestHostileServers(t *testing.T) {
	for name, do := range map[string]func(net.Conn){
		"silent":       func(c net.Conn) { io.Copy(io.Discard, c) },
		"gone":         func(c net.Conn) {},
		"a huge reply": func(c net.Conn) { c.Write(message([]byte{1, 0, 1, 0, 0xff, 0xff, 0xff, 0x3f})); io.Copy(io.Discard, c) },
		"a huge event": func(c net.Conn) { c.Write(message([]byte{35, 0, 1, 0, 0, 0, 1, 0})); io.Copy(io.Discard, c) },
		"a reply to what was not asked": func(c net.Conn) {
			c.Write(message([]byte{1, 0, 99, 0}))
			io.Copy(io.Discard, c)
		},
		"a byte at a time": func(c net.Conn) {
			swallow(c)
			for {
				if _, err := c.Write([]byte{1}); err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		},
		"events without end": func(c net.Conn) {
			swallow(c)
			for b := []byte(strings.Repeat(string(message([]byte{Expose})), 100)); ; {
				if _, err := c.Write(b); err != nil {
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := hostile(t, do)
			begin := time.Now()
			_, err := c.GetGeometry(1)
			if err == nil {
				t.Fatal("an answer")
			}
			if d := time.Since(begin); d > 20*time.Second {
				t.Errorf("the wait took %v", d)
			}
			if again := c.Sync(); again == nil || again.Error() != err.Error() {
				t.Errorf("of further use: %v, after %v", again, err)
			}
			if len(c.waiting) > maxWaiting {
				t.Errorf("%d events are kept", len(c.waiting))
			}
		})
	}
}

func TestHostileEvents(t *testing.T) {
	c := hostile(t, func(c net.Conn) { c.Write(message([]byte{1, 0, 1, 0})); io.Copy(io.Discard, c) })
	if _, err := c.Next(within(t)); !errors.Is(err, ErrProtocol) {
		t.Errorf("a reply that nobody asked for: %v", err)
	}
	c = hostile(t, func(c net.Conn) { c.Write([]byte{Expose, 0, 0}); io.Copy(io.Discard, c) })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("half an event: %v", err)
	}
	if _, ok, err := c.Pending(); ok || err != nil {
		t.Errorf("half an event is pending: %v, %v", ok, err)
	}
}

func TestHostileGreetings(t *testing.T) {
	for name, says := range map[string][]byte{
		"nothing":       nil,
		"garbage":       []byte(strings.Repeat("\x07", 64)),
		"empty":         {1, 0, 11, 0, 0, 0, 0, 0},
		"cut short":     {1, 0, 11, 0, 0, 0, 200, 0, 1, 2, 3},
		"wants more":    {2, 0, 11, 0, 0, 0, 1, 0, 'm', 'o', 'r', 'e'},
		"a long reason": append([]byte{0, 255, 11, 0, 0, 0, 1, 0}, "no!!"...),
	} {
		near, far := socketPair(t)
		far.Write(says)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if _, err := greet(ctx, near, Cookie{}); err == nil {
			t.Errorf("%s: taken", name)
		}
		cancel()
	}
}

func TestOnlyTheOwnersServerIsGreeted(t *testing.T) {
	near, _ := socketPair(t)
	_, uid, err := listener(near)
	check(t, err)
	if err := checkOwner(near, []uint32{uid}); err != nil {
		t.Error(err)
	}
	if err := checkOwner(near, []uint32{uid + 1, uid + 2}); err == nil {
		t.Error("a stranger's server was taken")
	}
}
