package lock

import (
	"context"
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"stepaway/proc"
	"stepaway/session"
	"stepaway/x11"
)

const (
	screenLimit = 1500 * time.Millisecond // for one look at a screen
	maxWindows  = 512                     // looked at; with more no proof is found
	cookieLimit = 500 * time.Millisecond  // for reading a cookie: the file may lie on a network

	// Lockers cover the screen first, then try for the keyboard, and end when they do not get it: xsecurelock after 1.1 s,
	// i3lock after 2.8 s on an idle machine.
	giveUp = 6 * time.Second
)

// onScreen finds the locker that covers every monitor of an X display and has its keyboard. A locker found there counts
// whenever it was started: it has the screen now, and a second one could not take it from it. Where the server cannot
// tell whose windows are whose (no X-Resource extension), a genuine locker that was started after the request and a
// keyboard that is not to be had must do.
//
// The server does not tell who holds the keyboard. Where another client held it before the request, it may hold it still,
// so there a locker counts only once it has lived longer than lockers do that cannot get the keyboard.
func (l *Ladder) onScreen(ctx context.Context, s session.Session, a asking) (proc.Process, bool) {
	ctx, cancel := context.WithTimeout(ctx, screenLimit)
	defer cancel()
	c, err := l.openScreen(ctx, s)
	if err != nil {
		return proc.Process{}, false
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })() // a server that answers slowly, many times
	p, ok, err := l.covering(c, s)
	if errors.Is(err, errNoOwners) {
		p, ok = l.startedAfter(s, a.since)
	}
	if !ok || a.contested && l.o.Now() < p.Start+giveUp || !keyboardTaken(c) || !saysLocked(c, p) {
		return proc.Process{}, false
	}
	again, err := proc.Read(p.PID) // between the look and the answer it may have ended
	return p, err == nil && again.Same(p) && again.Running()
}

// keyboardHeld reports whether some client holds the keyboard of the session's display, or that cannot be told in time.
func (l *Ladder) keyboardHeld(ctx context.Context, s session.Session) bool {
	if s.Kind != session.X11 && s.Kind != session.Unknown {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, screenLimit)
	defer cancel()
	c, err := l.openScreen(ctx, s)
	if err != nil {
		return ctx.Err() != nil
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	return keyboardTaken(c) || ctx.Err() != nil
}

// keyboardTaken reports whether another client holds the keyboard. If none does, it is held for the time of one answer.
func keyboardTaken(c *x11.Conn) bool {
	status, err := c.GrabKeyboard(c.Screen.Root)
	if err == nil && status == x11.GrabSuccess {
		_ = c.UngrabKeyboard()
		_ = c.Sync()
	}
	return err == nil && status == x11.AlreadyGrabbed
}

var errNoOwners = errors.New("the X server does not tell whose a window is")

// covering walks the windows from the top. Every monitor must be covered by a window of a genuine locker before any
// other large window is met.
func (l *Ladder) covering(c *x11.Conn, s session.Session) (proc.Process, bool, error) {
	open, err := c.Monitors()
	if err != nil {
		return proc.Process{}, false, err
	}
	windows, err := c.QueryTree(c.Screen.Root)
	if err != nil {
		return proc.Process{}, false, err
	}
	owners := owners{c: c, uid: s.UID, named: l.knownFallbacks(), known: map[int]*proc.Process{}}
	var found proc.Process
	for i := len(windows) - 1; i >= max(0, len(windows)-maxWindows) && len(open) > 0; i-- {
		r, visible := shown(c, windows[i])
		if !visible || 4*area(r) < smallest(open) {
			continue
		}
		p, err := owners.locker(windows[i])
		if err != nil {
			return found, false, err
		}
		if p == nil { // something else is above: what it shows can be seen
			return found, false, nil
		}
		before := len(open)
		if open = uncovered(open, r); len(open) < before {
			found = *p
		}
	}
	return found, len(open) == 0 && found.PID != 0, nil
}

// owners finds the genuine locker behind a window.
type owners struct {
	c     *x11.Conn
	uid   uint32
	named []string
	known map[int]*proc.Process // nil: not a locker
}

// locker returns the locker that made a window, nil if something else did.
func (o *owners) locker(window uint32) (*proc.Process, error) {
	pid, err := o.c.ClientPID(window)
	var answer *x11.Error
	if errors.As(err, &answer) { // the window is gone
		return nil, nil
	}
	if err != nil || pid == 0 {
		return nil, errNoOwners
	}
	if p, seen := o.known[pid]; seen {
		return p, nil
	}
	o.known[pid] = nil
	if p, ok := genuine(pid, o.uid, o.named); ok {
		o.known[pid] = &p
	}
	return o.known[pid], nil
}

// shown tells where a top-level window is, and whether it can be seen.
func shown(c *x11.Conn, window uint32) (x11.Rect, bool) {
	a, err := c.GetAttributes(window)
	if err != nil || !a.Viewable || a.InputOnly {
		return x11.Rect{}, false
	}
	r, err := c.GetGeometry(window)
	return r, err == nil
}

func area(r x11.Rect) int { return int(r.Width) * int(r.Height) }

func smallest(list []x11.Rect) int {
	n := area(list[0])
	for _, r := range list {
		n = min(n, area(r))
	}
	return n
}

// edge is how many pixels a window may leave open at each side: xsecurelock leaves one.
const edge = 2

// uncovered returns the monitors that a window leaves open.
func uncovered(monitors []x11.Rect, w x11.Rect) []x11.Rect {
	var open []x11.Rect
	for _, m := range monitors {
		inside := int(w.X) <= int(m.X)+edge && int(w.Y) <= int(m.Y)+edge &&
			int(w.X)+int(w.Width) >= int(m.X)+int(m.Width)-edge && int(w.Y)+int(w.Height) >= int(m.Y)+int(m.Height)-edge
		if !inside {
			open = append(open, m)
		}
	}
	return open
}

// openScreen connects to the session's display, whose server must be root's or the session's own user's, and a program
// that only root can change: the user can run a server of his own making, and it would say anything.
func (l *Ladder) openScreen(ctx context.Context, s session.Session) (*x11.Conn, error) {
	if s.Display == "" {
		return nil, errors.New("the session has no display")
	}
	var last error
	for _, cookie := range append(l.cookies(ctx, s), x11.Cookie{}) {
		c, err := x11.Dial(ctx, s.Display, cookie)
		if err != nil {
			last = err
			continue
		}
		if err = judge(c, s.UID); err == nil {
			return c, nil
		}
		c.Close()
		return nil, err
	}
	return nil, last
}

func judge(c *x11.Conn, owner uint32) error {
	pid, uid, err := c.Server()
	if err != nil {
		return err
	}
	if uid == 0 {
		return nil
	}
	exe, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe")
	if err == nil {
		_, err = trustedFile(exe)
	}
	if uid != owner {
		return errors.New("the display belongs to another user")
	}
	return err
}

// cookies returns the session's keys to its display, from the files that its processes name and the usual ones. Files
// must be the user's or root's.
func (l *Ladder) cookies(ctx context.Context, s session.Session) []x11.Cookie {
	var list []x11.Cookie
	for _, path := range cookieFiles(s) {
		got := make(chan x11.Cookie, 1)
		err := l.within(ctx, cookieLimit, "read "+path, func() { // a file system of the user's choice may not answer
			c, _ := x11.ReadCookie(path, s.Display, s.UID, 0)
			got <- c
		})
		if err != nil {
			continue
		}
		if c := <-got; c.Name != "" {
			list = append(list, c)
		}
	}
	return list
}

const maxCookieFiles = 6

func cookieFiles(s session.Session) []string {
	var paths []string
	seen := map[string]bool{}
	add := func(path string) {
		if path = filepath.Clean(path); filepath.IsAbs(path) && !seen[path] && len(paths) < maxCookieFiles {
			seen[path] = true
			paths = append(paths, path)
		}
	}
	uid := strconv.FormatUint(uint64(s.UID), 10)
	add("/run/user/" + uid + "/gdm/Xauthority")
	if u, err := user.LookupId(uid); err == nil {
		add(u.HomeDir + "/.Xauthority")
	}
	pids, _ := proc.InGroup(s.Scope)
	for _, pid := range append(pids[:min(len(pids), 64)], os.Getpid()) {
		if p, err := proc.Read(pid); err == nil && p.UID == s.UID {
			add(proc.Env(pid, "XAUTHORITY"))
			add(proc.Env(pid, "HOME") + "/.Xauthority")
		}
	}
	return paths
}
