package lock

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"stepaway/policy"
	"stepaway/proc"
	"stepaway/session"
)

const (
	rounds    = 5                // how often a client that comes back is looked for
	killWait  = 2 * time.Second  // for a process to be gone after SIGKILL
	maxGrace  = 10 * time.Minute // whatever policy says
	settle    = 200 * time.Millisecond
	respawned = 2 * time.Second // grace for what was started again: nothing was done in it yet
)

// CloseClients closes the named clients of a session, all of them at once, and returns how many processes are left. Each is
// waited for while its busy file says so, asked to close, as its policy says, and ended when its grace is over; one that is
// started again is ended again. When none of its processes is left, found or not, its caches and the clipboard are cleared.
// It reports from several goroutines, but never twice at a time. It takes as long as the longest wait and grace, and up to
// half a minute for caches. When ctx ends before, what was asked to close is left alone.
func (l *Ladder) CloseClients(ctx context.Context, s session.Session, clients []policy.Client, report func(ClientStep)) (left int) {
	var (
		mu   sync.Mutex
		work sync.WaitGroup
	)
	tell := func(st ClientStep) {
		mu.Lock()
		defer mu.Unlock()
		if st.Count > 0 && report != nil {
			report(st)
		}
	}
	for _, c := range clients {
		if c.AtDeadline == policy.Leave {
			continue
		}
		work.Go(func() {
			n := (&closing{Ladder: l, s: s, c: c, report: tell}).run(ctx)
			mu.Lock()
			defer mu.Unlock()
			left += n
		})
	}
	work.Wait()
	return left
}

// closing is the closing of one client.
type closing struct {
	*Ladder
	s      session.Session
	c      policy.Client
	report func(ClientStep)
	busy   bool // its busy file has put it off
}

// run does all that is to be done with the client, and returns how many of its processes are left.
func (c *closing) run(ctx context.Context) (left int) {
	if c.count() > 0 {
		c.busy = c.waitBusy(ctx)
	}
	if ctx.Err() != nil {
		return c.count()
	}
	if left = c.close(ctx); left == 0 && ctx.Err() == nil {
		c.clear(ctx)
	}
	return left
}

// count returns how many processes of the client there are.
func (c *closing) count() int {
	found := c.find()
	defer release(found)
	return len(found)
}

// clear removes what a client that was closed leaves behind.
func (c *closing) clear(ctx context.Context) {
	if len(c.c.Caches) > 0 {
		c.clearCaches(ctx)
	}
	if c.c.ClearClipboard {
		c.clearClipboard(ctx)
	}
}

// close goes round until no process of the client is found, and returns how many are left.
func (c *closing) close(ctx context.Context) (left int) {
	for round := range rounds {
		found := c.find()
		if len(found) == 0 {
			return 0
		}
		c.round(ctx, found, round)
		release(found)
		if ctx.Err() != nil {
			break
		}
		time.Sleep(settle) // what starts it again needs a moment
	}
	left = c.count()
	c.tell(ClientFailed, left)
	return left
}

func (c *closing) tell(code ClientCode, n int) {
	c.report(ClientStep{Client: c.c.Name, Code: code, Count: n, Busy: c.busy})
}

// round asks the processes to close and ends those that did not.
func (c *closing) round(ctx context.Context, found []*proc.Pinned, round int) {
	grace := min(max(c.c.Grace, 0), maxGrace)
	if round > 0 {
		grace = min(grace, respawned)
	}
	if c.c.AtDeadline == policy.Close && grace > 0 {
		c.tell(ClientAsked, len(found))
		if !c.askWindows(ctx, found) {
			send(found, syscall.SIGTERM)
		}
		if !wait(ctx, found, grace/2) && ctx.Err() == nil {
			send(found, syscall.SIGTERM)
			wait(ctx, found, grace/2)
		}
	}
	open := remaining(found)
	c.tell(ClientClosed, len(found)-len(open))
	if ctx.Err() != nil { // its grace was cut short: it is not ended for that
		return
	}
	send(open, syscall.SIGKILL)
	wait(context.WithoutCancel(ctx), open, killWait)
	c.tell(ClientEnded, len(open)-len(remaining(open)))
}

// find pins the client's processes: of this session, its user, and with one of the client's executables.
func (c *closing) find() []*proc.Pinned {
	want := executables(c.c.Paths)
	var found []*proc.Pinned
	for _, pid := range members(c.s) {
		p, err := proc.Read(pid)
		if err != nil || !c.matches(p, want) {
			continue
		}
		pin, err := proc.Pin(pid)
		if err != nil {
			continue
		}
		if !pin.Same(p) || !c.matches(pin.Process, want) {
			pin.Close()
			continue
		}
		found = append(found, pin)
	}
	return found
}

// matches compares user, executable and session. An executable that an upgrade has replaced counts by the path it had.
func (c *closing) matches(p proc.Process, want []executable) bool {
	return c.isClient(p, want) && !c.elsewhere(p)
}

// isClient compares user and executable.
func (c *closing) isClient(p proc.Process, want []executable) bool {
	return p.PID != os.Getpid() && p.PID > 1 && p.UID == c.s.UID && p.Alive() &&
		slices.ContainsFunc(want, func(e executable) bool { return e.is(p.Exe) })
}

// anywhere reports whether the user runs the client in any session.
func (c *closing) anywhere() bool {
	want := executables(c.c.Paths)
	pids, _ := proc.All()
	return slices.ContainsFunc(bounded(pids), func(pid int) bool {
		p, err := proc.Read(pid)
		return err == nil && c.isClient(p, want)
	})
}

// elsewhere reports whether a process belongs to another session of the same user. One in the session's own control group does
// not. What the user's service manager started serves all sessions of the user: there the display that it was given
// decides, if it was given one. A user who gives his client a wrong display keeps it open; behind a lock.
func (c *closing) elsewhere(p proc.Process) bool {
	if c.s.Scope != "" && (p.Group == c.s.Scope || len(p.Group) > len(c.s.Scope) && p.Group[:len(c.s.Scope)+1] == c.s.Scope+"/") {
		return false
	}
	display := displayOf(proc.Env(p.PID, "DISPLAY"))
	return display != "" && c.s.Display != "" && display != displayOf(c.s.Display)
}

// displayOf takes the screen's number off a display's name: ":0.1" is a screen of ":0".
func displayOf(name string) string {
	if filepath.Ext(name) != "" {
		name = name[:len(name)-len(filepath.Ext(name))]
	}
	return name
}

// executable is one of the paths that a policy names.
type executable struct {
	pattern string
	real    string // where the links of a path without wildcards lead, "" for others
}

// is compares with the path of a process's executable, in which the kernel has resolved all links.
func (e executable) is(path string) bool {
	return policy.PathMatches(e.pattern, path) || e.real != "" && e.real == path
}

// executables resolves links in paths without wildcards.
func executables(paths []string) []executable {
	var out []executable
	for _, p := range paths {
		if !filepath.IsAbs(p) {
			continue
		}
		e := executable{pattern: filepath.Clean(p)}
		if !strings.ContainsAny(p, "*?") {
			e.real, _ = filepath.EvalSymlinks(p)
		}
		out = append(out, e)
	}
	return out
}

func send(list []*proc.Pinned, sig syscall.Signal) {
	for _, p := range list {
		if !p.Ended() {
			_ = p.Signal(sig) // it ends meanwhile, or is still there when looked for again
		}
	}
}

func remaining(list []*proc.Pinned) []*proc.Pinned {
	var out []*proc.Pinned
	for _, p := range list {
		if !p.Ended() {
			out = append(out, p)
		}
	}
	return out
}

// wait returns true when all have ended, false when the time is over.
func wait(ctx context.Context, list []*proc.Pinned, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for _, p := range list {
		if p.Wait(ctx) != nil {
			return len(remaining(list)) == 0
		}
	}
	return true
}

func release(list []*proc.Pinned) {
	for _, p := range list {
		p.Close()
	}
}
