// Package x11 is a small client for the X server of a session: windows, monitors, input events, idle counters.
//
// Failure rules: the server may be the user's own program, so everything it says is hostile. Every length is
// bounded (a message is at most 1 MiB), nothing it sends makes this package panic, and every wait ends by a
// deadline or a context. After ErrProtocol, a lost connection or an unanswered request the connection is of no
// further use: every later call fails with the first such error. Only servers of this machine are spoken to,
// over a Unix socket; Server tells whose they are, and the caller judges that before it believes a word.
package x11

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

const (
	maxMessage = 1 << 20  // bytes of one reply
	maxEvent   = 32 << 10 // bytes of one event
	maxWaiting = 4096     // events kept while a reply is awaited; further ones are dropped, and counted
	readBuffer = 64 << 10 // bytes; above maxEvent, so that a whole event can be peeked at
	askTimeout = 2 * time.Second
)

// Conn is a connection to an X server. One goroutine uses it at a time; Close may be called from any.
type Conn struct {
	Screen Screen // the first one; the connection does not follow later changes of size

	c       net.Conn
	in      *inflow
	r       *bufio.Reader // on in
	setup   setup
	seq     uint16
	nextID  uint32
	timeout time.Duration
	exts    map[string]extension
	waiting []Event
	dropped uint64
	late    error // first error of a request without a reply, until Sync tells
	broken  error
	close   sync.Once
}

// Dial connects to a display of this machine, ":7" or ":7.0". It ends when ctx does. Where owners are given, the
// server must run as one of them: any user may take the name of a display that is free, and would be shown the cookie.
func Dial(ctx context.Context, display string, cookie Cookie, owners ...uint32) (*Conn, error) {
	n, err := displayNumber(display)
	if err != nil {
		return nil, err
	}
	path := fmt.Sprintf("/tmp/.X11-unix/X%d", n)
	var d net.Dialer
	nc, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		var second error
		if nc, second = d.DialContext(ctx, "unix", "@"+path); second != nil {
			return nil, fmt.Errorf("x11: connecting to display %s: %w", display, err)
		}
	}
	var c *Conn
	if err = checkOwner(nc, owners); err == nil {
		c, err = greet(ctx, nc, cookie)
	}
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("x11: display %s: %w", display, err)
	}
	return c, nil
}

func checkOwner(nc net.Conn, owners []uint32) error {
	if len(owners) == 0 {
		return nil
	}
	_, uid, err := listener(nc)
	if err == nil && !slices.Contains(owners, uid) {
		err = fmt.Errorf("its server belongs to uid %d, not to %d", uid, owners)
	}
	return err
}

// Server returns the process and the user that listen at the display, by the kernel's word.
func (c *Conn) Server() (pid int, uid uint32, err error) { return listener(c.c) }

// greet says who we are and reads who the server is.
func greet(ctx context.Context, nc net.Conn, cookie Cookie) (*Conn, error) {
	in := &inflow{c: nc}
	c := &Conn{c: nc, in: in, r: bufio.NewReaderSize(in, readBuffer), timeout: askTimeout, exts: map[string]extension{}}
	nc.SetDeadline(time.Now().Add(c.timeout))
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := nc.Write(greeting(cookie)); err != nil {
		return nil, fmt.Errorf("greeting: %w", err)
	}
	body, err := readGreeting(c.r)
	if err != nil {
		return nil, err
	}
	if c.setup, err = parseSetup(body); err != nil {
		return nil, err
	}
	c.Screen = c.setup.screen
	if !stop() {
		return nil, context.Cause(ctx)
	}
	return c, nc.SetDeadline(time.Time{})
}

// ErrRefused says that the server did not let us in: no cookie, or a wrong one.
var ErrRefused = errors.New("x11: the server refused the connection")

func readGreeting(r io.Reader) ([]byte, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("reading the greeting: %w", err)
	}
	body := make([]byte, 4*int(le.Uint16(head[6:]))) // at most 256 KiB
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, fmt.Errorf("reading the greeting: %w", err)
	}
	switch head[0] {
	case 1:
		return body, nil
	case 0:
		reason := body[:min(int(head[1]), len(body), 80)]
		return nil, fmt.Errorf("%w: %q", ErrRefused, reason)
	}
	return nil, fmt.Errorf("%w: it wants more authentication", ErrRefused)
}

// inflow reads from the server, and can be told not to wait.
type inflow struct {
	c      net.Conn
	nowait bool
}

var errNothingYet = errors.New("x11: nothing has arrived yet")

func (f *inflow) Read(b []byte) (int, error) {
	if f.nowait {
		return readArrived(f.c, b)
	}
	return f.c.Read(b)
}

// SetTimeout bounds every later request, its reply included. The default is two seconds.
func (c *Conn) SetTimeout(d time.Duration) { c.timeout = d }

// Close ends the connection. A wait in another goroutine ends with an error.
func (c *Conn) Close() error {
	err := net.ErrClosed
	c.close.Do(func() { err = c.c.Close() })
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Dropped counts the events that were thrown away because too many came while a reply was awaited.
func (c *Conn) Dropped() uint64 { return c.dropped }

// NewID returns a fresh identifier for a window, a graphics context or an alarm. Identifiers of
// destroyed things are not used again; a connection has some two million.
func (c *Conn) NewID() (uint32, error) {
	step := c.setup.idMask & -c.setup.idMask
	c.nextID += step
	if c.nextID&^c.setup.idMask != 0 || c.nextID == 0 {
		return 0, errors.New("x11: out of identifiers")
	}
	return c.setup.idBase | c.nextID, nil
}

// fail marks the connection as of no further use.
func (c *Conn) fail(err error) error {
	if c.broken == nil {
		c.broken = err
		c.Close()
	}
	return c.broken
}

// send writes one request. body must be a multiple of four bytes long.
func (c *Conn) send(opcode, data byte, body []byte) error {
	if c.broken != nil {
		return c.broken
	}
	n := 4 + len(body)
	if n > c.setup.maxRequest {
		return fmt.Errorf("x11: request %d of %d bytes is larger than the server takes", opcode, n)
	}
	b := make([]byte, 4, n)
	b[0], b[1] = opcode, data
	le.PutUint16(b[2:], uint16(n/4))
	c.seq++
	c.c.SetWriteDeadline(time.Now().Add(c.timeout))
	if _, err := c.c.Write(append(b, body...)); err != nil {
		return c.fail(fmt.Errorf("x11: sending request %d: %w", opcode, err))
	}
	return nil
}

// ask sends a request and waits for its reply, which has at least 32 bytes.
func (c *Conn) ask(opcode, data byte, body []byte) ([]byte, error) {
	if err := c.send(opcode, data, body); err != nil {
		return nil, err
	}
	c.c.SetReadDeadline(time.Now().Add(c.timeout))
	for {
		m, err := readMessage(c.r)
		if err != nil {
			return nil, c.fail(fmt.Errorf("x11: waiting for the reply to request %d: %w", opcode, err))
		}
		mine := le.Uint16(m[2:]) == c.seq
		switch {
		case m[0] == 1 && mine:
			return m, nil
		case m[0] == 1:
			return nil, c.fail(fmt.Errorf("%w: a reply to another request", ErrProtocol))
		case m[0] == 0 && mine:
			return nil, newError(m)
		}
		c.keep(m)
	}
}

// keep puts aside what came in place of a reply.
func (c *Conn) keep(m []byte) {
	switch {
	case m[0] == 0 && c.late == nil:
		c.late = newError(m)
	case m[0] == 0:
	case len(c.waiting) < maxWaiting:
		c.waiting = append(c.waiting, newEvent(m))
	default:
		c.dropped++
	}
}

// messageSize tells the length of the message that begins with head, which has 32 bytes.
func messageSize(head []byte) (int, error) {
	limit := 0
	switch head[0] &^ 0x80 {
	case 1:
		limit = maxMessage
	case genericEvent:
		limit = maxEvent
	default:
		return 32, nil
	}
	more := uint64(le.Uint32(head[4:])) * 4
	if more > uint64(limit-32) {
		return 0, fmt.Errorf("%w: a message of %d bytes", ErrProtocol, more+32)
	}
	return int(more) + 32, nil
}

// readMessage reads one reply, error or event.
func readMessage(r io.Reader) ([]byte, error) {
	var head [32]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n, err := messageSize(head[:])
	if err != nil {
		return nil, err
	}
	m := make([]byte, n)
	copy(m, head[:])
	_, err = io.ReadFull(r, m[32:])
	return m, err
}

// Next returns the next event, waiting until ctx ends. When it ends, its error is returned and the connection
// can still be used. An error of an earlier request without a reply is kept for Sync.
func (c *Conn) Next(ctx context.Context) (Event, error) {
	stop := c.until(ctx)
	defer stop()
	for {
		e, ok, err := c.take()
		if err != nil && ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded) {
			return Event{}, ctx.Err()
		}
		if err != nil {
			return Event{}, c.fail(fmt.Errorf("x11: waiting for an event: %w", err))
		}
		if ok {
			return e, nil
		}
	}
}

// until makes reads end with ctx.
func (c *Conn) until(ctx context.Context) (stop func()) {
	c.c.SetReadDeadline(time.Time{})
	set := make(chan struct{})
	after := context.AfterFunc(ctx, func() {
		c.c.SetReadDeadline(time.Unix(1, 0))
		close(set)
	})
	return func() {
		if !after() {
			<-set // so that it cannot cut a later wait short
		}
	}
}

// Pending returns an event that has already arrived, without waiting. ok is false if none has.
func (c *Conn) Pending() (e Event, ok bool, err error) {
	c.in.nowait = true
	defer func() { c.in.nowait = false }()
	c.c.SetReadDeadline(time.Time{})
	for {
		e, ok, err = c.take()
		if errors.Is(err, errNothingYet) {
			return Event{}, false, nil
		}
		if err != nil {
			return Event{}, false, c.fail(fmt.Errorf("x11: looking for an event: %w", err))
		}
		if ok {
			return e, true, nil
		}
	}
}

// take reads one message if that is an event. It peeks, so a wait that is cut short loses nothing.
func (c *Conn) take() (Event, bool, error) {
	if len(c.waiting) > 0 {
		e := c.waiting[0]
		c.waiting = c.waiting[1:]
		return e, true, nil
	}
	if c.broken != nil {
		return Event{}, false, c.broken
	}
	head, err := c.r.Peek(32)
	if err != nil {
		return Event{}, false, err
	}
	if head[0] == 1 {
		return Event{}, false, fmt.Errorf("%w: a reply that nobody asked for", ErrProtocol)
	}
	n, err := messageSize(head)
	if err != nil {
		return Event{}, false, err
	}
	whole, err := c.r.Peek(n)
	if err != nil {
		return Event{}, false, err
	}
	m := append([]byte(nil), whole...)
	c.r.Discard(n)
	if m[0] == 0 {
		c.keep(m)
		return Event{}, false, nil
	}
	return newEvent(m), true, nil
}

// Sync waits until the server has done everything asked of it, and returns the first error of a request that has
// no reply since the last Sync.
func (c *Conn) Sync() error {
	if _, err := c.ask(opGetInputFocus, 0, nil); err != nil {
		return err
	}
	err := c.late
	c.late = nil
	return err
}
