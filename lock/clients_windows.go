package lock

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sys/windows"

	"stepaway/session"
)

const windowsLimit = 2 * time.Second // for telling all windows of a client

// ask posts WM_CLOSE to the windows of processes. A program may answer with a question to its user, for which the grace is.
func (c *closing) ask(ctx context.Context, found []held) {
	if c.o.Desk == nil {
		return
	}
	pids := make([]uint32, 0, len(found))
	for _, p := range found {
		pids = append(pids, p.pid) // which no other process gets while it is held
	}
	ctx, cancel := context.WithTimeout(ctx, windowsLimit)
	defer cancel()
	if asked, err := c.o.Desk.CloseWindows(ctx, c.s.ID, pids); err != nil {
		c.o.Log.Warn("lock: a client was not asked to close", "client", c.c.Name, "windows", asked, "err", err)
	}
}

// insist does nothing: a second WM_CLOSE would take away the question that a program asks after the first.
func insist([]held) {}

// end ends processes by force.
func end(found []held) {
	for _, p := range found {
		_ = windows.TerminateProcess(p.handle, 1) // it ends meanwhile, or is still there when looked for again
	}
}

// find holds the client's processes: of this session, its user, and with one of the client's executables.
func (c *closing) find() []held { return c.clients(inSession(c.s), maxMembers) }

// anywhere reports whether the user runs the client in any session.
func (c *closing) anywhere() bool {
	found := c.clients(func(*process) bool { return true }, 1)
	defer release(found)
	return len(found) > 0
}

// inSession tells whether a process belongs to a session.
func inSession(s session.Session) func(*process) bool {
	id, err := sessionID(s)
	return func(p *process) bool {
		got, ok := p.session()
		return err == nil && ok && got == id
	}
}

// clients holds processes of the client, those of the session's user that are wanted.
func (c *closing) clients(wanted func(*process) bool, most int) (found []held) {
	m := c.matcher()
	for _, pid := range pids() {
		p, err := hold(pid)
		if err != nil {
			continue
		}
		if len(found) < most && pid != windows.GetCurrentProcessId() && wanted(p) && p.isUsers(c.s.SID) && !p.Ended() && m.matches(p) {
			found = append(found, p)
		} else {
			p.Close()
		}
	}
	return found
}

// maxMembers bounds how many processes are looked at.
const maxMembers = 1 << 15

// pids lists the processes that there are.
func pids() []uint32 {
	for size := 1 << 10; ; size *= 2 {
		list := make([]uint32, size)
		var n uint32
		if err := windows.EnumProcesses(list, &n); err != nil {
			return nil
		}
		if n /= 4; int(n) < size || size >= maxMembers {
			return slices.DeleteFunc(list[:n], func(pid uint32) bool { return pid == 0 })
		}
	}
}
