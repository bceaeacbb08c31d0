package whole

import (
	"slices"
	"testing"

	"stepaway/audit"
	"stepaway/clock"
	"stepaway/link"
	"stepaway/test/rig"
)

// staysLocked fails the test unless a locker outlives a new start of the service, as an upgrade makes it.
func (m *machine) staysLocked() {
	m.t.Helper()
	since, lockers := clock.Now(), m.find("nurse", "/usr/bin/i3lock")
	m.Must("systemctl", "restart", agent)
	m.patiently("the session to be known as locked", func() bool {
		return slices.ContainsFunc(m.status().Sessions, func(s link.SessionStatus) bool { return s.State.Phase == link.Secured })
	})
	if now := m.find("nurse", "/usr/bin/i3lock"); len(lockers) == 0 || !slices.Equal(now, lockers) {
		m.t.Errorf("lockers %v, after a new start of the service %v", lockers, now)
	}
	m.delivered()
	m.await(since, audit.AgentStop)
	m.none(since, audit.LockFailed)
}

// Buses are the user's and the system's to lose.
func TestMachineWithoutBusesStillLocks(t *testing.T) {
	m := install(t, calm)
	id := m.desktop(rig.ObeysLock)
	m.Must("runuser", "-u", "nurse", "--", "env", "XDG_RUNTIME_DIR=/run/user/1000", "systemctl", "--user", "stop", "dbus.socket", "dbus.service")
	m.Must("rm", "-f", "/run/user/1000/bus")
	last := m.under(brisk + "lock: {fallback: [/usr/bin/i3lock, -n]}\n")
	m.onTime(last, limit, audit.LockRequested, "session="+id, "reason=idle")
	m.await(last.to, audit.LockProved, "session="+id, "proof=locker", "rung=logind")
	m.unlock(id)
	m.step("locked without the session's bus")

	m.Must("systemctl", "stop", "dbus.socket", "dbus.service")
	last = m.touch()
	m.onTime(last, limit, audit.LockRequested, "session="+id, "reason=idle")
	m.await(last.to, audit.LockProved, "session="+id, "proof=locker", "rung=fallback")
	if s, _ := m.guarded(id); s.State.Phase != link.Secured {
		t.Errorf("the session is %s", s.State.Phase)
	}
	m.Must("systemctl", "start", "dbus.socket", "dbus.service")
	m.step("locked without the system's bus")
	m.staysLocked()
	m.unlock(id)

	last = m.touch()
	m.onTime(last, limit, audit.LockRequested, "session="+id, "reason=idle")
	m.await(last.to, audit.LockProved, "session="+id, "proof=locker")
	m.delivered()
	m.verified()
}
