package lock

import (
	"context"
	"encoding/binary"
	"time"

	"stepaway/proc"
	"stepaway/x11"
)

const (
	askLimit   = 2 * time.Second // for telling all windows of a client
	maxToClose = 2048            // windows looked at
)

// askWindows sends WM_DELETE_WINDOW to the top-level windows of processes, as a click on the cross does. It returns true
// if a window was told: the processes of a client often share one, and ending those without would not be polite.
func (c *closing) askWindows(ctx context.Context, found []*proc.Pinned) bool {
	if c.s.Display == "" {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	conn, err := c.openScreen(ctx, c.s)
	if err != nil {
		return false
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	a, err := asker(conn, found)
	if err != nil {
		return false
	}
	a.walk(conn.Screen.Root, 0)
	return conn.Sync() == nil && a.told > 0
}

// windowAsker knows which windows to ask.
type windowAsker struct {
	conn              *x11.Conn
	pids              map[int]bool
	protocols, delete uint32 // atoms
	pid               uint32
	seen, told        int
}

func asker(conn *x11.Conn, found []*proc.Pinned) (a *windowAsker, err error) {
	a = &windowAsker{conn: conn, pids: map[int]bool{}}
	for _, p := range found {
		a.pids[p.PID] = true
	}
	for name, atom := range map[string]*uint32{"WM_PROTOCOLS": &a.protocols, "WM_DELETE_WINDOW": &a.delete, "_NET_WM_PID": &a.pid} {
		if *atom, err = conn.InternAtom(name); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// depth is how far below the root a window manager puts a client's window: in a frame, at most in another.
const depth = 3

// walk asks the windows below a window. A client's own windows are not looked into.
func (a *windowAsker) walk(window uint32, level int) {
	children, err := a.conn.QueryTree(window)
	if err != nil {
		return
	}
	for _, w := range children {
		if a.seen++; a.seen > maxToClose {
			return
		}
		if a.closable(w) {
			if a.conn.AskToClose(w, 0) == nil {
				a.told++
			}
		} else if level+1 < depth {
			a.walk(w, level+1)
		}
	}
}

// closable reports whether a window is of one of the processes and takes the request. The server's own word on the process
// comes first; a window's property is its maker's word, and names no process that was not found by its executable.
func (a *windowAsker) closable(w uint32) bool {
	at, err := a.conn.GetAttributes(w)
	if err != nil || at.OverrideRedirect || !a.takesDelete(w) {
		return false
	}
	pid, err := a.conn.ClientPID(w)
	if err != nil || pid == 0 {
		pid = int(a.first(w, a.pid))
	}
	return a.pids[pid]
}

// takesDelete reports whether a window's client understands WM_DELETE_WINDOW.
func (a *windowAsker) takesDelete(w uint32) bool {
	p, err := a.conn.GetProperty(w, a.protocols, 128)
	if err != nil || p.Format != 32 {
		return false
	}
	for b := p.Data; len(b) >= 4; b = b[4:] {
		if binary.LittleEndian.Uint32(b) == a.delete {
			return true
		}
	}
	return false
}

// first returns the first number of a property, 0 if it has none.
func (a *windowAsker) first(w, property uint32) uint32 {
	p, err := a.conn.GetProperty(w, property, 4)
	if err != nil || p.Format != 32 || len(p.Data) < 4 {
		return 0
	}
	return binary.LittleEndian.Uint32(p.Data)
}
