package whole

import (
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/clock"
	"stepaway/link"
	"stepaway/test/rig"
)

// A desktop on which nobody obeys a request to lock: the ladder is climbed, as far as policy lets it.
func TestMachineLadderIsClimbed(t *testing.T) {
	const quick, short = 8 * time.Second, "limit: 8s\nwarning: 2s\n"
	m := install(t, calm)
	id := m.desktop(rig.When("claim", `busctl call org.freedesktop.login1 /org/freedesktop/login1/session/auto `+
		`org.freedesktop.login1.Session SetLockedHint b true`))

	last := m.under(short + "lock: {fallback: [/usr/bin/i3lock, -n]}\n")
	m.Do("nurse", "claim")
	m.WaitFor("the false claim", func() bool { return m.Property(id, "LockedHint") == "yes" })
	m.onTime(last, quick, audit.LockRequested, "session="+id, "reason=idle")
	m.await(last.to, audit.LockProved, "session="+id, "proof=locker", "rung=fallback")
	m.await(last.to, audit.LockEscalated, "rung=logind", "code=unproved", "outcome=failure")
	m.inOrder(last.to, audit.WarningShown, audit.LockRequested, audit.LockEscalated, audit.LockProved)
	m.none(last.to, audit.LockProved, "proof=claim")
	m.none(last.to, audit.LockRequested, "reason=manual")
	m.staysLocked()
	m.unlock(id)
	m.step("the fallback locked")

	since := clock.Now()
	m.under(short + "lock: {terminate: false}\n")
	m.await(since, audit.PolicyRelaxed, "key=lock.fallback", "severity=alert")
	m.await(since, audit.LockFailed, "session="+id, "severity=alert", "outcome=failure", "attempt=1")
	m.await(since, audit.LockFailed, "session="+id, "attempt=2")
	if s, there := m.guarded(id); !there || s.State.Phase != link.Expired || m.Property(id, "State") != "active" {
		t.Errorf("after the failure the session is %+v", s)
	}
	m.none(since, audit.LockProved)
	m.step("nothing locks: said again and again")

	since = m.rule(short + "lock: {terminate: true}\n")
	m.await(since, audit.SignoutDone, "session="+id, "rung=terminate", "proof=ended")
	m.await(since, audit.SessionEnd, "session="+id)
	if m.Property(id, "State") == "active" {
		t.Error("the session is still there")
	}
	m.delivered()
	m.verified()
}
