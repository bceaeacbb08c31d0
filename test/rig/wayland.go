//go:build linux

package rig

import (
	"context"
	"strings"
)

// Scripts for Wayland, of compositors without hardware. What they run has WAYLAND_DISPLAY.

const headless = "#!/bin/bash\nexport WLR_BACKENDS=headless WLR_RENDERER=pixman WLR_LIBINPUT_NO_DEVICES=1\n"

// Sway is the sway of Debian 13, with lines of its configuration.
func Sway(lines ...string) string { return headless + swayWith("sway", lines) }

// NextSway is a newer sway, which has ext-idle-notify in version 2.
func NextSway(lines ...string) string {
	return headless + "export LD_LIBRARY_PATH=/opt/next/usr/lib/x86_64-linux-gnu\n" + swayWith("/opt/next/usr/bin/sway", lines)
}

func swayWith(program string, lines []string) string {
	return "cat >$HOME/sway.cfg <<'END'\noutput HEADLESS-1 resolution 1280x800\n" + strings.Join(lines, "\n") +
		"\nEND\nexec " + program + " -c $HOME/sway.cfg\n"
}

// Labwc is labwc, which runs a command.
func Labwc(command string) string { return headless + "exec labwc -s '" + command + "'\n" }

// KWin is KDE's compositor alone.
const KWin = `#!/bin/bash
export XDG_CURRENT_DESKTOP=KDE KWIN_COMPOSE=Q
exec kwin_wayland --virtual --width 1280 --height 800 --no-lockscreen --no-global-shortcuts
`

// Gnome is GNOME's shell, which programs of its user may type into.
const Gnome = `#!/bin/bash
export XDG_CURRENT_DESKTOP=GNOME XDG_SESSION_DESKTOP=gnome LIBGL_ALWAYS_SOFTWARE=1
exec gnome-shell --headless --virtual-monitor 1280x800 --wayland --no-x11 --unsafe-mode
`

// Wayland is Session for a compositor on seat0, and waits until its socket is there.
func (c *Container) Wayland(user, script string) (id string) {
	c.t.Helper()
	id = c.Session(user, script, "-E", "XDG_SEAT=seat0", "-E", "XDG_SESSION_TYPE=wayland")
	c.WaitFor("the compositor of "+user, func() bool { return c.socket(user) != "" })
	return id
}

// socket is the compositor's, or "".
func (c *Container) socket(user string) string {
	out, err := c.Run(context.Background(), "sh", "-c", "cd /run/user/$(id -u "+user+") && for s in wayland-?; do [ -S $s ] && echo $s; done; true")
	name, _, _ := strings.Cut(strings.TrimSpace(out), "\n")
	if err != nil {
		return ""
	}
	return name
}

// InWayland is Must as a user, with his compositor and his bus.
func (c *Container) InWayland(user string, args ...string) string {
	c.t.Helper()
	dir := "/run/user/" + c.Must("id", "-u", user)
	return c.Must(append([]string{"runuser", "-u", user, "--", "env", "XDG_RUNTIME_DIR=" + dir, "WAYLAND_DISPLAY=" + c.socket(user),
		"DBUS_SESSION_BUS_ADDRESS=unix:path=" + dir + "/bus"}, args...)...)
}

// TypeInGnome presses and releases a key in the shell of a user, as a remote desktop does.
func (c *Container) TypeInGnome(user string) {
	c.t.Helper()
	c.InWayland(user, "gjs", "-c", gnomeKey)
}

const gnomeKey = `const {Gio, GLib} = imports.gi;
const name = 'org.gnome.Mutter.RemoteDesktop';
function call(path, iface, member, args) {
	return Gio.DBus.session.call_sync(name, path, iface, member, args, null, 0, 5000, null).deepUnpack();
}
const [session] = call('/org/gnome/Mutter/RemoteDesktop', name, 'CreateSession', null);
call(session, name + '.Session', 'Start', null);
for (const down of [true, false])
	call(session, name + '.Session', 'NotifyKeyboardKeycode', new GLib.Variant('(ub)', [30, down]));
call(session, name + '.Session', 'Stop', null);
`

// End ends a session, if it is still there, and waits until it is gone.
func (c *Container) End(id string) {
	c.t.Helper()
	_, _ = c.Run(context.Background(), "loginctl", "terminate-session", id)
	c.WaitFor("the end of session "+id, func() bool { return c.Property(id, "State") == "" })
}
