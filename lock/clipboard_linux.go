package lock

import (
	"context"
	"errors"
	"time"

	"stepaway/session"
	"stepaway/x11"
)

const (
	clipboardLimit = 2 * time.Second
	clipboardRest  = 200 * time.Millisecond // for a program that puts things back
	clipboardTries = 3
	cutBuffers     = 8
)

var errPutBack = errors.New("another program puts it back")

// clearClipboard has the owners of the session's selections drop what they hold ready. Only an X server lets another
// program do that: on Wayland the compositor gives the clipboard to who has the focus and nobody else.
func (c *closing) clearClipboard(ctx context.Context) {
	switch c.s.Kind {
	case session.TTY, session.SSH:
		return
	case session.Wayland:
		c.tell(ClipboardLeft, 1)
		return
	}
	type answer struct {
		taken int
		err   error
	}
	limited, cancel := context.WithTimeout(ctx, clipboardLimit)
	defer cancel()
	got := make(chan answer, 1)
	err := c.within(limited, clipboardLimit, "clipboard of "+c.s.ID, func() { // two at a time would take it from one another
		taken, err := c.emptyClipboard(limited)
		got <- answer{taken, err}
	})
	var a answer
	if err == nil {
		a = <-got
		err = a.err
	}
	if err == nil {
		c.tell(ClipboardCleared, a.taken)
	} else if ctx.Err() == nil {
		c.o.Log.Warn("lock: the clipboard was not cleared", "session", c.s.ID, "err", err)
		c.tell(ClipboardLeft, 1)
	}
}

// emptyClipboard returns how many selections were owned before. All that it does ends with ctx.
func (c *closing) emptyClipboard(ctx context.Context) (taken int, err error) {
	conn, err := c.openScreen(ctx, c.s)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	clipboard, err := conn.InternAtom("CLIPBOARD")
	if err != nil {
		return 0, err
	}
	window, err := conn.CreateWindow(x11.Window{Width: 1, Height: 1})
	if err != nil {
		return 0, err
	}
	if taken, err = dropCutBuffers(conn); err != nil {
		return 0, err
	}
	selections := []uint32{clipboard, x11.AtomPrimary, x11.AtomSecondary}
	for try := range clipboardTries {
		n, err := dropSelections(conn, window, selections)
		if err != nil || n == 0 {
			return taken, err
		}
		if try == 0 {
			taken += n
		}
		time.Sleep(clipboardRest)
	}
	if n, err := dropSelections(conn, window, selections); err != nil || n == 0 {
		return taken, err
	}
	return taken, errPutBack
}

// dropSelections takes each selection from its owner, gives it up, and returns how many had one.
func dropSelections(conn *x11.Conn, window uint32, selections []uint32) (n int, err error) {
	for _, s := range selections {
		owner, err := conn.GetSelectionOwner(s)
		if err != nil {
			return n, err
		}
		if owner == 0 {
			continue
		}
		n++
		if err := conn.SetSelectionOwner(window, s); err != nil {
			return n, err
		}
		if err := conn.SetSelectionOwner(0, s); err != nil {
			return n, err
		}
	}
	return n, conn.Sync()
}

// dropCutBuffers removes what programs from before selections, and xterm still, leave on the root window.
func dropCutBuffers(conn *x11.Conn) (n int, err error) {
	for atom := uint32(x11.AtomCutBuffer0); atom < x11.AtomCutBuffer0+cutBuffers; atom++ {
		p, err := conn.GetProperty(conn.Screen.Root, atom, 0)
		if err != nil {
			return n, err
		}
		if p.Type == 0 {
			continue
		}
		n++
		if err := conn.DeleteProperty(conn.Screen.Root, atom); err != nil {
			return n, err
		}
	}
	return n, conn.Sync()
}
