package deb

import (
	"strings"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/clock"
)

const longestGap = 5 * time.Second // without enforcement, whatever is done with the packages

// TestInstallGuardsAtOnce: one command, and sessions are locked; killed a hundred times in a minute they still are.
func TestInstallGuardsAtOnce(t *testing.T) {
	t.Parallel()
	m := boot(t)
	m.install("stepaway", older)
	m.guarded()
	if out := m.Must("stepaway-agent", "version"); out != "stepaway-agent "+older {
		t.Errorf("it says %q", out)
	}
	for _, tray := range []string{"--version", "--help"} { // its libraries are there
		m.Must("stepaway-tray", tray)
	}
	_, locker := m.locked()
	m.describedAsInstalled()
	m.sandboxed()

	began, pid := time.Now(), m.show(agent, "MainPID")
	for range 100 {
		m.Must("kill", "-KILL", pid)
		m.WaitFor("the agent after it was killed", func() bool {
			now := m.show(agent, "MainPID")
			again := now != "0" && now != pid
			if again {
				pid = now
			}
			return again
		})
	}
	t.Logf("killed 100 times in %.0f s", time.Since(began).Seconds())
	m.WaitFor("the agent after all of that", func() bool { return m.show(agent, "ActiveState") == "active" })
	if now := m.locker(); now != locker {
		t.Errorf("the locker was %s and is %q", locker, now)
	}
	m.Must("loginctl", "terminate-user", "nurse")
	m.WaitFor("the end of the first session", func() bool { st, err := m.status(time.Second); return err == nil && len(st.Sessions) == 0 })
	m.Must("rm", "-f", "/home/nurse/desktop-is-up", "/tmp/.X5-lock")
	m.locked()
}

// TestUpgradeAndDowngradeKeepTheLock, and what the administrator wrote.
func TestUpgradeAndDowngradeKeepTheLock(t *testing.T) {
	t.Parallel()
	m := boot(t)
	m.collector()
	m.install("stepaway", older)
	m.enrolled()
	_, locker := m.locked()
	started := m.await(audit.AgentStart, 0)
	m.Must("sh", "-c", "echo '# ours' >> /etc/stepaway/policy.yaml")

	began := clock.Now()
	m.install("stepaway", newer)
	m.guarded()
	m.gap(began, locker)
	if now := m.await(audit.AgentStart, at(started)); now.Agent != newer {
		t.Errorf("the events are told by %s", now.Agent)
	}
	if text := m.Must("tail", "-n", "1", "/etc/stepaway/policy.yaml"); text != "# ours" {
		t.Errorf("the policy ends in %q", text)
	}

	for _, e := range m.events() {
		if e.Type == audit.StateDrifted {
			t.Errorf("an installation or upgrade is said to be a change: %s is %s, was %s", e.Facts.Key, e.Facts.New, e.Facts.Old)
		}
	}

	began = clock.Now()
	if out, err := m.apt("install", file("stepaway", older)); err == nil || !strings.Contains(out, "downgrade") {
		t.Errorf("a downgrade that nobody allowed: %v\n%s", err, out)
	}
	m.install("stepaway", older, "--allow-downgrades")
	m.guarded()
	m.gap(began, locker)
	m.WaitFor("the downgrade at the collector", func() bool {
		for _, e := range m.events() {
			if e.Type == audit.StateDrifted && at(e) > began && e.Facts.Code == "downgrade" {
				return true
			}
		}
		return false
	})

	if out, err := m.apt("remove", "stepaway"); err != nil {
		t.Fatalf("remove: %v\n%s", err, out)
	}
	m.removed()
	m.Must("test", "-e", "/etc/stepaway/policy.yaml")
	m.Must("test", "-d", "/var/lib/stepaway/courier/spool")
	if now := m.locker(); now != locker {
		t.Errorf("the locker was %s and is %q after the package was removed", locker, now)
	}
	m.await(audit.AgentStop, began+time.Millisecond)
	if out, err := m.apt("purge", "stepaway"); err != nil || strings.Contains(out, "kept") {
		t.Fatalf("purge: %v\n%s", err, out)
	}
	m.gone("/etc/stepaway", "/var/lib/stepaway", "/run/stepaway", "/etc/xdg/autostart/stepaway-tray.desktop",
		"/etc/systemd/system/multi-user.target.wants/stepaway.service", "/etc/systemd/system/sockets.target.wants/stepaway.socket")
	if out, err := m.Run(t.Context(), "id", "stepaway"); err == nil {
		t.Errorf("the account is still there: %s", out)
	}

	// The records outlive their collector's program.
	out, err := m.apt("purge", "stepaway-collector")
	if err != nil || !strings.Contains(out, "stepaway-collector: kept /var/lib/stepaway-collector") {
		t.Errorf("purge the collector: %v\n%s", err, out)
	}
	m.Must("test", "-s", data+"/ca.key")
}

// gap fails the test if the agent was away for too long at an upgrade, or the session was opened by it.
func (m *machine) gap(began time.Duration, locker string) {
	m.t.Helper()
	stop := m.await(audit.AgentStop, began)
	start := m.await(audit.AgentStart, at(stop))
	if away := at(start) - at(stop); away > longestGap {
		m.t.Errorf("away for %v", away)
	} else {
		m.t.Logf("away for %v", away)
	}
	if now := m.locker(); now != locker {
		m.t.Errorf("the locker was %s and is %q", locker, now)
	}
}

// removed fails the test unless nothing runs any more.
func (m *machine) removed() {
	m.t.Helper()
	for _, u := range []string{"stepaway.socket", agent, courier, "stepaway-enroll.path"} {
		if state := m.show(u, "ActiveState"); state == "active" || state == "activating" {
			m.t.Errorf("%s is %s", u, state)
		}
	}
	m.gone("/usr/bin/stepaway-agent")
}

// collector installs, makes and starts one.
func (m *machine) collector() {
	m.t.Helper()
	m.install("stepaway-collector", older)
	if state := m.show("stepaway-collector.service", "ActiveState"); state != "inactive" {
		m.t.Errorf("a collector that was not made is %s", state)
	}
	m.Must("runuser", "-u", "stepaway-collector", "--", "stepaway-collector", "init")
	m.Must("systemctl", "start", "stepaway-collector.service")
	if out, err := m.Run(m.t.Context(), "systemd-analyze", "security", "--no-pager", "--threshold=20", "stepaway-collector.service"); err != nil {
		m.t.Errorf("the collector's unit: %v\n%s", err, out)
	}
}

// enrolled leaves a token for the courier, as an image of a machine does.
func (m *machine) enrolled() {
	m.t.Helper()
	const token = "/etc/stepaway/enrolment-token"
	said := strings.Split(m.Must("runuser", "-u", "stepaway-collector", "--", "stepaway-collector", "token", "--url", "https://127.0.0.1:8443", "ward3-pc07"), "\n")
	m.Write(token, said[len(said)-1]+"\n", 0o600)
	m.WaitFor("the token to be used", func() bool { _, err := m.Run(m.t.Context(), "test", "-e", token); return err != nil })
	m.WaitFor("the collector to be up", func() bool {
		st, err := m.status(time.Second)
		return err == nil && st.Courier != nil && st.Courier.Collector == "up"
	})
}

// TestPurgeLeavesWhatWasNotDelivered, and says so.
func TestPurgeLeavesWhatWasNotDelivered(t *testing.T) {
	t.Parallel()
	m := boot(t)
	m.install("stepaway", older)
	m.guarded()
	out, err := m.apt("purge", "stepaway")
	if err != nil || !strings.Contains(out, "stepaway: kept /var/lib/stepaway/courier/spool") {
		t.Errorf("purge: %v\n%s", err, out)
	}
	m.removed()
	left := m.Must("find", "/var/lib/stepaway", "-not", "-path", "*/spool/*")
	if !strings.Contains(left, "/var/lib/stepaway/courier/spool") || strings.Contains(left, "agent") || strings.Contains(left, "identity") {
		t.Errorf("left: %s", left)
	}
	if mode := m.Must("stat", "-c", "%a %U", "/var/lib/stepaway/courier"); mode != "700 root" {
		t.Errorf("it is %s", mode)
	}
	m.install("stepaway", older) // takes up where it was
	m.guarded()
	if out := m.Must("stepaway-courier", "audit", "export"); strings.Count(out, `"agent.start"`) != 2 {
		t.Errorf("the records of before are not taken up:\n%s", out)
	}
}
