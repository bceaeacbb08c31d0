package lock

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"stepaway/policy"
	"stepaway/proc"
)

// held is a process that cannot be mistaken for another.
type held = *proc.Pinned

// ask asks processes to close: by their windows, or those without any by a signal.
func (c *closing) ask(ctx context.Context, found []held) {
	if !c.askWindows(ctx, found) {
		insist(found)
	}
}

// insist asks processes once more, with windows or without.
func insist(found []held) { send(found, syscall.SIGTERM) }

// end ends processes by force.
func end(found []held) { send(found, syscall.SIGKILL) }

func send(list []held, sig syscall.Signal) {
	for _, p := range list {
		if !p.Ended() {
			_ = p.Signal(sig) // it ends meanwhile, or is still there when looked for again
		}
	}
}

// find pins the client's processes: of this session, its user, and with one of the client's executables.
func (c *closing) find() []held {
	want := executables(c.c.Paths)
	var found []held
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
