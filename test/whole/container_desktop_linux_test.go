package whole

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/clock"
	"stepaway/link"
	"stepaway/test/rig"
)

const (
	calm  = "limit: 10m\nwarning: 1m\n"
	brisk = "limit: 10s\nwarning: 5s\n"
	limit = 10 * time.Second // of brisk
)

// A whole shift on a desktop with a locker that obeys.
func TestMachineDesktopIsWarnedLockedAndOpened(t *testing.T) {
	m := install(t, calm)
	secrets := newCanaries()
	id := m.desktop(secrets.planted("dunst &", rig.ObeysLock)...)
	m.patiently("the tray that the agent starts", func() bool { s, _ := m.guarded(id); return s.Tray })
	begun := m.await(0, audit.SessionStart, "user=nurse", "kind=x11")
	if took := clock.Now() - at(begun); took > 45*time.Second { // desktops get 20 to do it by themselves
		t.Errorf("the tray was started %v after the logon", took)
	}

	m.step("the tray is up")
	secrets.sing(m)
	last := m.touch()
	m.rule(brisk)
	m.phase(id, link.Warned)
	m.patiently("the warning on the screen", func() bool {
		out, _ := m.Run(context.Background(), "runuser", "-u", "nurse", "--", "env",
			"DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus", "dunstctl", "count", "displayed")
		n, err := strconv.Atoi(strings.TrimSpace(out))
		return err == nil && n >= 2 // one is a canary's
	})
	m.onTime(last, limit, audit.LockRequested, "session="+id, "reason=idle", "attempt=1")
	m.await(last.to, audit.LockProved, "session="+id, "proof=locker", "rung=logind")
	m.inOrder(last.to, audit.WarningShown, audit.LockRequested, audit.LockProved)

	m.step("locked")
	m.say("wrong")
	time.Sleep(4 * time.Second) // i3lock says no for a while
	if s, _ := m.guarded(id); s.State.Phase != link.Secured || len(m.find("nurse", "/usr/bin/i3lock")) == 0 {
		t.Errorf("after a wrong password the session is %s", s.State.Phase)
	}
	m.none(last.to, audit.UnlockSeen)
	m.unlock(id)
	m.step("unlocked")
	last = m.touch()
	m.phase(id, link.Warned)
	kept := m.touch() // puts it off
	m.await(kept.from, audit.WarningCleared, "session="+id)
	m.onTime(kept, limit, audit.LockRequested, "session="+id)
	m.await(kept.to, audit.LockProved, "proof=locker", "rung=logind")
	m.step("locked again")

	killed := clock.Now()
	_, _ = m.Run(t.Context(), append([]string{"kill", "-KILL"}, m.find("nurse", "/usr/bin/i3lock")...)...) // the one may end with the other
	m.await(killed, audit.TamperSeen, "session="+id, "code=locker-gone", "severity=alert")
	again := m.await(killed, audit.LockProved, "session="+id, "proof=locker")
	if open := at(again) - killed; open > 2*promptly {
		t.Errorf("locked again %v after the locker was killed", open)
	}
	m.inOrder(killed, audit.TamperSeen, audit.LockRequested, audit.LockProved)
	m.none(killed, audit.UnlockSeen)
	m.step("locked once more after the locker was killed")

	m.delivered()
	secrets.kept(m)
	m.verified()
}
