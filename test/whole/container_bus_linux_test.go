package whole

import (
	"testing"

	"stepaway/audit"
	"stepaway/link"
	"stepaway/test/rig"
)

// Buses are the user's and the system's to lose.
func TestMachineWithoutBusesStillLocks(t *testing.T) {
	m := install(t, calm)
	id := m.Desktop("nurse", rig.ObeysLock)
	m.touch()
	m.rule(brisk + "lock: {fallback: [/usr/bin/i3lock, -n]}\n")

	m.Must("runuser", "-u", "nurse", "--", "env", "XDG_RUNTIME_DIR=/run/user/1000", "systemctl", "--user", "stop", "dbus.socket", "dbus.service")
	m.Must("rm", "-f", "/run/user/1000/bus")
	last := m.touch()
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
	m.unlock(id)

	last = m.touch()
	m.onTime(last, limit, audit.LockRequested, "session="+id, "reason=idle")
	m.await(last.to, audit.LockProved, "session="+id, "proof=locker")
	m.delivered()
	m.verified()
}
