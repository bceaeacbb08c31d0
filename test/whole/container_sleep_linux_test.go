package whole

import (
	"strings"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/clock"
	"stepaway/test/rig"
)

// logind begins to put the machine to sleep, by its own rules; only the kernel's part is taken out, because a container has
// none: /sys/power of the container says what a kernel says that can sleep, and the service that would write there notes
// when it was asked to.
func TestMachineIsLockedBeforeItSleeps(t *testing.T) {
	m := install(t, calm)
	m.Must("mount", "-o", "remount,rw", "/sys")
	m.Must("install", "-d", "/sys/power", "/etc/systemd/system/systemd-suspend.service.d")
	m.Write("/sys/power/state", "freeze mem disk\n", 0o644)
	m.Write("/sys/power/mem_sleep", "[s2idle] deep\n", 0o644)
	m.Write("/etc/systemd/system/systemd-suspend.service.d/nothing.conf",
		"[Service]\nExecStart=\nExecStart=/usr/bin/sh -c 'date +%%s%%N >/run/slept; sleep 1'\n", 0o644)
	m.Must("systemctl", "daemon-reload")
	m.Must("systemctl", "restart", "systemd-logind") // its own view of /sys is that of its start
	m.step("a machine that can sleep")
	id := m.desktop(rig.ObeysLock)
	m.patiently("the session", func() bool { _, there := m.guarded(id); return there })
	inhibited := func() bool {
		list := m.Must("systemd-inhibit", "--list", "--no-pager")
		return strings.Contains(list, "Stepaway") && strings.Contains(list, "delay")
	}
	m.WaitFor("the inhibitor", inhibited)

	m.pause(6 * time.Second) // the desktop has come up
	m.touch()
	since := clock.Now()
	m.Must("busctl", "call", "org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager", "Suspend", "b", "false")
	m.await(since, audit.PowerSuspend)
	requested := m.await(since, audit.LockRequested, "session="+id, "reason=policy")
	proved := m.await(since, audit.LockProved, "session="+id, "proof=locker")
	if after := at(requested) - since; after > promptly {
		t.Errorf("asked for a lock %v after sleep began", after)
	}
	m.WaitFor("sleep", func() bool { _, err := m.Run(t.Context(), "test", "-s", "/run/slept"); return err == nil })
	slept := m.sleptAt()
	if at(proved) > slept {
		t.Errorf("asleep at %v, locked at %v", slept, at(proved))
	}
	m.WaitFor("the next inhibitor", inhibited)
	m.step("locked, slept, awake")
	m.unlock(id)

	m.kill(agent) // the inhibitor goes with its process, and comes with the next
	m.WaitFor("an inhibitor again", inhibited)
	m.delivered()
	m.verified()
}

// sleptAt is when the machine would have gone to sleep, on the clock of the events.
func (m *machine) sleptAt() time.Duration {
	m.t.Helper()
	wall, err := time.ParseDuration(strings.TrimSpace(m.Must("cat", "/run/slept")) + "ns")
	if err != nil {
		m.t.Fatal(err)
	}
	return clock.Now() - (time.Duration(time.Now().UnixNano()) - wall)
}
