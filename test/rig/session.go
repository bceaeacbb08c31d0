//go:build linux

package rig

import (
	"context"
	"regexp"
	"strconv"
	"strings"
)

// Display is the X display of a Desktop.
const Display = ":5"

// Desktop is a session script: an X server with an access cookie, a window manager, and then the given shell lines, in
// which $DISPLAY and $XAUTHORITY are set. It ends with its X server.
func Desktop(display string, lines ...string) string {
	return `#!/bin/bash
export DISPLAY=` + display + ` XAUTHORITY=$HOME/.Xauthority
xauth -q add $DISPLAY . $(mcookie)
Xvfb $DISPLAY -auth $XAUTHORITY -noreset -screen 0 1280x800x24 -nolisten tcp >/dev/null 2>&1 &
x=$!
for i in $(seq 1 400); do xdpyinfo >/dev/null 2>&1 && break; sleep .05; done
xfwm4 --compositor=off >/dev/null 2>&1 &
` + strings.Join(lines, "\n") + `
touch $HOME/desktop-is-up
wait $x
`
}

// ObeysLock is a line for Desktop: i3lock starts when logind asks the session to lock, and for no other reason. It waits until
// xss-lock listens.
const ObeysLock = `xss-lock --ignore-sleep --ignore-xss -- i3lock -n -c 204060 &
until busctl --no-pager list | grep -q xss-lock; do sleep .05; done
sleep .5`

// When is a line for a session script: the command runs in the session once Do says so.
func When(cue, command string) string {
	return "(while [ ! -e $HOME/.cue-" + cue + " ]; do sleep .05; done; " + command + ") &"
}

// Do lets the command of a line made by When run, in the session of user.
func (c *Container) Do(user, cue string) {
	c.t.Helper()
	c.Must("touch", "/home/"+user+"/.cue-"+cue)
}

// Session logs a user on by PAM and runs script as the session's leader until the end. It returns logind's name of
// the session once that is active. Without further arguments for systemd-run it is an x11 session on seat0.
func (c *Container) Session(user, script string, args ...string) (id string) {
	c.t.Helper()
	c.sessions++
	unit := "rig-session-" + strconv.Itoa(c.sessions)
	c.Write("/usr/local/bin/"+unit, script, 0o755)
	if len(args) == 0 {
		args = []string{"-E", "XDG_SEAT=seat0", "-E", "XDG_SESSION_TYPE=x11", "-E", "XDG_SESSION_DESKTOP=test",
			"-E", "DISPLAY=" + Display}
	}
	c.Must(append(append([]string{"systemd-run", "-q", "--unit=" + unit, "-p", "PAMName=login", "-p", "User=" + user,
		"-p", "WorkingDirectory=/home/" + user}, args...), "/usr/local/bin/"+unit)...)
	c.WaitFor("the session of "+user, func() bool { id = c.sessionOf(unit); return id != "" })
	return id
}

// Desktop is Session with the script of a desktop, and waits until all its lines have been run.
func (c *Container) Desktop(user string, lines ...string) (id string) {
	c.t.Helper()
	id = c.Session(user, Desktop(Display, lines...))
	c.WaitFor("the desktop of "+user, func() bool {
		_, err := c.Run(context.Background(), "test", "-e", "/home/"+user+"/desktop-is-up")
		return err == nil
	})
	return id
}

var scope = regexp.MustCompile(`session-([0-9a-z]+)\.scope`)

// sessionOf returns the name of the session that a unit's main process leads, or "" while there is none.
func (c *Container) sessionOf(unit string) string {
	pid := c.Must("systemctl", "show", "-P", "MainPID", unit)
	out, err := c.Run(c.t.Context(), "cat", "/proc/"+pid+"/cgroup")
	if m := scope.FindStringSubmatch(out); err == nil && m != nil {
		return m[1]
	}
	return ""
}

// Property reads one property of a session from logind, or "" when the session is gone.
func (c *Container) Property(id, name string) string {
	out, err := c.Run(context.Background(), "loginctl", "show-session", id, "--value", "-p", name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(out)
}
