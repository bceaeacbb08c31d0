package whole

import (
	"strings"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/clock"
	"stepaway/link"
	"stepaway/test/rig"
)

// What types in a session that is no X display.
const (
	inSway  = "sway"
	inGnome = "gnome"
)

// Sway with its two usual lockers: the compositor tells of input, the locker is seen, and ended, and there again.
func TestMachineSway(t *testing.T) {
	m := installOn(t, rig.Debian13, calm)
	m.x = xSession{"nurse", inSway}
	for name, locker := range map[string]string{"swaylock": "swaylock -f -c 204060", "gtklock": "gtklock -d"} {
		id := m.wayland(rig.NextSway("exec env -u LD_LIBRARY_PATH swayidle -w lock '"+locker+"'"), "notifier")
		last := m.under(brisk)
		m.onTime(last, limit, audit.LockRequested, "session="+id, "reason=idle")
		m.await(last.to, audit.LockProved, "session="+id, "proof=locker")
		m.step(name + " is proved")

		m.rule(calm)
		m.say("wrong")
		m.pause(4 * time.Second)
		m.phase(id, link.Secured)
		since := clock.Now()
		m.Must("pkill", "-KILL", "-x", name)
		m.await(since, audit.TamperSeen, "session="+id, "code=locker-gone")
		m.await(since, audit.LockProved, "session="+id, "proof=locker")
		m.step(name + " was killed, and is there again")
		if name == "swaylock" { // gtklock does not hear wtype's Return
			m.unlock(id)
		}
		m.End(id)
	}
	m.delivered()
	m.verified()
}

// GNOME under gdm: Mutter tells of input, and the shell's own claim is the proof.
func TestMachineGnome(t *testing.T) {
	const claim = "lock: {proof: claim}\n"
	m := installOn(t, rig.Debian13, calm+claim)
	m.x = xSession{"nurse", inGnome}
	m.Must("systemctl", "start", "gdm") // without it the shell refuses to lock
	id := m.wayland(rig.Gnome, "mutter")
	m.pause(3 * time.Second) // the shell has begun to listen to logind
	last := m.under(brisk + claim)
	m.onTime(last, limit, audit.LockRequested, "session="+id, "reason=idle")
	m.await(last.to, audit.LockProved, "session="+id, "proof=claim")
	m.rule(calm + claim)
	m.touch() // a key is no password
	m.pause(3 * time.Second)
	m.phase(id, link.Secured)
	since := clock.Now()
	m.Must("loginctl", "unlock-session", id) // as gdm does when the password was right
	m.await(since, audit.UnlockSeen, "session="+id)
	m.delivered()
	m.verified()
}

// wayland starts a session of nurse, and waits until its input is seen at the source.
func (m *machine) wayland(script, source string) (id string) {
	m.t.Helper()
	id = m.Wayland("nurse", script)
	m.patiently("input of session "+id, func() bool {
		s, _ := m.guarded(id)
		return s.Readable && strings.Contains(s.Why, "ret="+source+"]")
	})
	m.pause(time.Second) // for what the compositor starts
	if why, _ := m.guarded(id); !strings.Contains(why.Why, "injected input counts") {
		m.t.Errorf("the source is not told for what it is: %s", why.Why)
	}
	m.step("session " + id + " is seen by " + source)
	return id
}

// The screen savers of X desktops, each as its desktop starts it.
func TestMachineSavers(t *testing.T) {
	m := installOn(t, rig.Debian13, calm)
	for _, saver := range []struct{ name, start, bus string }{
		{"mate-screensaver", "mate-screensaver --no-daemon", "org.mate.ScreenSaver"},
		{"xfce4-screensaver", "xfce4-screensaver", "org.xfce.ScreenSaver"},
	} {
		m.Must("rm", "-f", "/home/nurse/desktop-is-up")
		id := m.desktop("export DBUS_SESSION_BUS_ADDRESS=unix:path=$XDG_RUNTIME_DIR/bus", saver.start+" &",
			"until busctl --user --no-pager list --acquired | grep -q "+saver.bus+"; do sleep .1; done", "sleep 1")
		last := m.under(brisk)
		m.onTime(last, limit, audit.LockRequested, "session="+id, "reason=idle")
		proved := m.await(last.to, audit.LockProved, "session="+id, "proof=locker")
		m.step(saver.name + " is proved: " + encode(proved))
		m.rule(calm)
		m.say("wrong")
		m.pause(4 * time.Second)
		m.phase(id, link.Secured)
		m.unlock(id)
		m.End(id)
	}
	m.delivered()
	m.verified()
}
