package whole

import (
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/clock"
	"stepaway/test/rig"
)

// The policy's file changes under the running service: what is wrong or unsafe changes nothing, what is weaker is said.
func TestMachinePolicyChangesWhileRunning(t *testing.T) {
	m := install(t, calm)
	id := m.desktop(rig.ObeysLock)
	m.patiently("the session", func() bool { _, there := m.guarded(id); return there })
	good := m.status().Policy
	for _, bad := range []struct {
		what, code string
		do         func()
	}{
		{"broken", "invalid", func() { m.Write(policyAt, "limit: [15m\n", 0o644) }},
		{"never locks", "invalid", func() { m.Write(policyAt, "limit: 0s\n", 0o644) }},
		{"unknown key", "invalid", func() { m.Write(policyAt, "limit: 24h\nidle: never\n", 0o644) }},
		{"everybody may write it", "unsafe", func() { m.Write(policyAt, "limit: 24h\n", 0o666) }},
		{"the user's", "unsafe", func() {
			m.Write("/etc/stepaway/new", "limit: 24h\n", 0o644)
			m.Must("chown", "nurse", "/etc/stepaway/new")
			m.Must("mv", "/etc/stepaway/new", policyAt)
		}},
		{"a link", "unsafe", func() {
			m.Write("/etc/weak.yaml", "limit: 24h\n", 0o644)
			m.Must("ln", "-sfn", "/etc/weak.yaml", policyAt)
		}},
		{"gone", "missing", func() { m.Must("rm", policyAt) }},
	} {
		since := clock.Now()
		bad.do()
		m.await(since, audit.PolicyRejected, "code="+bad.code, "severity=alert", "outcome=failure")
		if st := m.status(); st.Policy != good || st.Sessions[0].State.LimitMS != (10*time.Minute).Milliseconds() {
			t.Errorf("%s: policy %.12s, limit %d ms", bad.what, st.Policy, st.Sessions[0].State.LimitMS)
		}
	}
	m.step("seven bad policies")

	m.Write(policyAt, "limit: nonsense\n", 0o644)
	since := clock.Now()
	m.kill(agent) // also a new process keeps to the last good one
	m.await(since, audit.PolicyRejected, "code=invalid")
	if st := m.status(); st.Policy != good {
		t.Errorf("after a restart the policy is %.12s, want %.12s", st.Policy, good)
	}

	since = m.rule("limit: 20m\nwarning: 1m\n")
	m.await(since, audit.PolicyRelaxed, "key=limit", "old=10m", "new=20m", "severity=alert")
	m.none(since, audit.PolicyRejected)
	m.step("a weaker policy is said")

	last := m.touch()
	m.pause(7 * time.Second)
	since = m.rule("limit: 6s\nwarning: 3s\n") // stricter than how long nobody has been there
	e := m.await(since, audit.LockRequested, "session="+id, "reason=idle")
	if after := at(e) - since; after > promptly+time.Second {
		t.Errorf("a stricter policy was carried out after %v", after)
	}
	if idle := time.Duration(*e.Facts.IdleMS) * time.Millisecond; idle < since-last.to-scheduler {
		t.Errorf("idle for %v, in truth %v", idle, at(e)-last.to)
	}
	m.await(since, audit.LockProved, "proof=locker")
	m.none(since, audit.PolicyRelaxed)
	m.delivered()
	m.verified()
}
