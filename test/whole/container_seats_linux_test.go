package whole

import (
	"context"
	"strings"
	"testing"

	"stepaway/audit"
	"stepaway/link"
	"stepaway/test/rig"
)

// A second seat: screen, keyboard and a user of its own. logind takes it from udev's records, which here name a device that
// every machine has.
func TestMachineSecondSeat(t *testing.T) {
	m := install(t, calm)
	m.Must("mount", "-o", "remount,rw", "/sys") // as long as it is read-only, logind does not ask udev
	m.Must("install", "-d", "/run/udev/data", "/run/udev/tags/seat", "/run/udev/tags/master-of-seat")
	m.Write("/run/udev/data/c1:3", "I:1\nE:ID_SEAT=seat1\nG:seat\nG:master-of-seat\nQ:seat\nQ:master-of-seat\nV:1\n", 0o644)
	m.Must("touch", "/run/udev/tags/seat/c1:3", "/run/udev/tags/master-of-seat/c1:3")
	m.Must("systemctl", "restart", "systemd-logind")
	m.WaitFor("the second seat", func() bool { return strings.Contains(m.Must("loginctl", "list-seats"), "seat1") })
	m.step("two seats")
	nurse := m.desktop(rig.ObeysLock)
	doctor := m.Session("doctor", rig.Desktop(":6", `xss-lock -l -- i3lock -n &`), "-E", "XDG_SEAT=seat1",
		"-E", "XDG_SESSION_TYPE=x11", "-E", "DISPLAY=:6")
	m.patiently("the desktop of doctor", func() bool {
		_, err := m.Run(context.Background(), "test", "-e", "/home/doctor/desktop-is-up")
		s, _ := m.guarded(doctor)
		return err == nil && s.Readable
	})
	for id, seat := range map[string]string{nurse: "seat0", doctor: "seat1"} {
		if s, _ := m.guarded(id); s.Seat != seat || !s.Active {
			t.Errorf("session %s: %+v, want it in front on %s", id, s, seat)
		}
	}

	m.x = xSession{"doctor", ":6"}
	last := m.under(brisk)
	m.x = xSession{"nurse", rig.Display}
	m.patiently("the second seat to be locked", func() bool {
		m.touch() // nurse goes on working on the first
		s, _ := m.guarded(doctor)
		return s.State.Phase == link.Secured
	})
	m.onTime(last, limit, audit.LockRequested, "session="+doctor, "user=doctor", "reason=idle")
	m.await(last.to, audit.LockProved, "session="+doctor, "proof=locker")
	m.none(last.from, audit.LockRequested, "session="+nurse)
	m.none(last.from, audit.SessionSwitch)
	last = m.touch()
	m.onTime(last, limit, audit.LockRequested, "session="+nurse, "user=nurse")
	m.await(last.to, audit.LockProved, "session="+nurse, "proof=locker")
	m.phase(doctor, link.Secured)
	m.delivered()
	m.verified()
}
