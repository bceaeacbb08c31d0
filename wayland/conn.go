// Package wayland is a small client for the compositor of a session: it is told when nobody has given input for a while.
//
// Failure rules: the compositor runs as the user, so everything it says is hostile. A message is at most 4 KiB, seats and
// globals are counted, nothing it sends makes this package panic, and every wait ends by a deadline or a context. After any
// error but that of the context of Next the connection is of no further use.
//
// Only version 2 of ext-idle-notify is spoken. Version 1 is silent for as long as any program inhibits idleness, a playing
// video for one, so what it leaves unsaid is no sign of a person.
package wayland

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

const (
	askTimeout = 2 * time.Second // for an answer
	maxSeats   = 16
	maxGlobals = 1024
	maxEvents  = 1000 // while an answer is awaited
)

// Objects that this side names.
const (
	displayID  = 1
	registryID = 2
	firstFree  = 3 // and on without a gap: libwayland refuses one
)

const notifierName = "ext_idle_notifier_v1"

// Conn is a connection to a compositor. One goroutine uses it at a time; Close may be called from any.
type Conn struct {
	Notifier uint32 // version of ext-idle-notify that the compositor offers, 0 if it does not

	c      net.Conn
	r      *bufio.Reader
	next   uint32            // identifiers are not used again
	seats  map[uint32]uint32 // by the number of their global: the notification that watches it, 0 if none does yet
	idle   map[uint32]bool   // by notification; one that has said nothing yet is idle
	known  int               // globals heard of
	number uint32            // global of the notifier
	bound  uint32            // what it is called on this connection, 0 if it is not
	after  time.Duration
	broken error
	close  sync.Once
}

// Event is what the compositor said.
type Event uint8

// Events.
const (
	Nothing  Event = iota // only beside an error
	Idled                 // no input to one seat for the time that was asked for
	Resumed               // input to a seat that was idle
	answered              // to ask
)

// New greets the compositor at the other end of c, and finds out what it offers. It takes c over.
func New(ctx context.Context, c net.Conn) (*Conn, error) {
	w := &Conn{c: c, r: bufio.NewReaderSize(c, maxMessage), next: firstFree, seats: map[uint32]uint32{}, idle: map[uint32]bool{}}
	err := w.send(encode(displayID, 1, uint32(registryID))) // get_registry
	if err == nil {
		err = w.Sync(ctx)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return w, nil
}

// Close ends the connection. A wait in another goroutine ends with an error.
func (w *Conn) Close() error {
	err := net.ErrClosed
	w.close.Do(func() { err = w.c.Close() })
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// WatchInput asks to be told when a seat had no input for a time, whatever inhibits idleness, and when it has some again.
// It holds for seats that come later too.
func (w *Conn) WatchInput(after time.Duration) error {
	if w.Notifier < 2 {
		return fmt.Errorf("wayland: the compositor offers %s in version %d, not 2", notifierName, w.Notifier)
	}
	w.after, w.bound = after, w.next
	w.next++
	if err := w.send(encode(registryID, 0, w.number, notifierName, uint32(2), w.bound)); err != nil {
		return err
	}
	return w.watchSeats()
}

// watchSeats asks for the notifications that are missing.
func (w *Conn) watchSeats() error {
	for global, watched := range w.seats {
		if watched != 0 || w.bound == 0 {
			continue
		}
		seat, notification := w.next, w.next+1
		w.next += 2
		w.seats[global], w.idle[notification] = notification, true
		err := w.send(encode(registryID, 0, global, "wl_seat", uint32(1), seat))
		if err == nil { // get_input_idle_notification
			err = w.send(encode(w.bound, 2, notification, uint32(w.after.Milliseconds()), seat))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Active tells whether a seat has had input within the time that was asked for. Of input that was under way when the watch
// began nothing is known before it has paused for that long.
func (w *Conn) Active() bool {
	for _, idle := range w.idle {
		if !idle {
			return true
		}
	}
	return false
}

// Next returns the next event, waiting until ctx ends. When it ends, the connection can still be used.
func (w *Conn) Next(ctx context.Context) (Event, error) {
	if w.broken != nil {
		return Nothing, w.broken
	}
	defer w.until(ctx, time.Time{})()
	for {
		if _, err := w.r.Peek(headSize); err != nil && ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded) {
			return Nothing, ctx.Err()
		}
		if e, err := w.take(0); err != nil || e != Nothing {
			return e, err
		}
	}
}

// until makes reads end at a time, and with ctx.
func (w *Conn) until(ctx context.Context, end time.Time) (stop func()) {
	w.c.SetReadDeadline(end)
	set := make(chan struct{})
	after := context.AfterFunc(ctx, func() {
		w.c.SetReadDeadline(time.Unix(1, 0))
		close(set)
	})
	return func() {
		if !after() {
			<-set // so that it cannot cut a later wait short
		}
	}
}

// Sync waits until the compositor has answered, by which everything that it said before has been heard.
func (w *Conn) Sync(ctx context.Context) error {
	defer w.until(ctx, time.Now().Add(askTimeout))()
	callback := w.next
	w.next++
	if err := w.send(encode(displayID, 0, callback)); err != nil {
		return err
	}
	for range maxEvents + maxGlobals {
		e, err := w.take(callback)
		if err != nil || e == answered {
			return err
		}
	}
	return w.fail(fmt.Errorf("%w: it talks without answering", ErrProtocol))
}

// take reads one message.
func (w *Conn) take(callback uint32) (Event, error) {
	m, err := readMessage(w.r)
	if err != nil {
		return Nothing, w.fail(fmt.Errorf("wayland: reading from the compositor: %w", err))
	}
	_, mine := w.idle[m.object]
	switch {
	case m.object == displayID && m.opcode == 0:
		return Nothing, w.fail(refusal(m))
	case m.object == registryID:
		return Nothing, w.global(m)
	case callback != 0 && m.object == callback:
		return answered, nil
	case mine && m.opcode == 0:
		w.idle[m.object] = true
		return Idled, nil
	case mine && m.opcode == 1:
		w.idle[m.object] = false
		return Resumed, nil
	}
	return Nothing, nil
}

// refusal is the compositor's error.
func refusal(m message) error {
	a := args{b: m.body}
	object, code, text := a.number(), a.number(), a.text()
	return fmt.Errorf("wayland: the compositor refused: object %d, code %d: %.80q", object, code, text)
}

// global takes note of what the compositor offers, and of what it does not any more.
func (w *Conn) global(m message) error {
	a := args{b: m.body}
	number := a.number()
	if m.opcode == 1 {
		delete(w.idle, w.seats[number]) // nothing is heard of it any more
		delete(w.seats, number)
		return nil
	}
	name, version := a.text(), a.number()
	if w.known++; a.bad || m.opcode != 0 || w.known > maxGlobals {
		return w.fail(fmt.Errorf("%w: a global that cannot be read, or too many", ErrProtocol))
	}
	switch _, known := w.seats[number]; {
	case name == notifierName && w.Notifier == 0:
		w.Notifier, w.number = version, number
	case name == "wl_seat" && !known && len(w.idle) < maxSeats && len(w.seats) < maxSeats:
		w.seats[number] = 0
		return w.watchSeats()
	}
	return nil
}

func (w *Conn) send(b []byte) error {
	if w.broken != nil {
		return w.broken
	}
	w.c.SetWriteDeadline(time.Now().Add(askTimeout))
	if _, err := w.c.Write(b); err != nil {
		return w.fail(fmt.Errorf("wayland: writing to the compositor: %w", err))
	}
	return nil
}

// fail marks the connection as of no further use.
func (w *Conn) fail(err error) error {
	if w.broken == nil {
		w.broken = err
		w.Close()
	}
	return w.broken
}
