package whole

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/clock"
	"stepaway/inventory"
)

// installation is what `state show --json` prints.
type installation struct {
	Hash, Approved string
	Items          map[string]string
	Differences    []inventory.Difference
}

// examined has the agent look at the installation now.
func (m *machine) examined() (i installation) {
	m.t.Helper()
	if err := json.Unmarshal([]byte(m.Must("stepaway-agent", "state", "show", "--json")), &i); err != nil {
		m.t.Fatal(err)
	}
	return i
}

// restarted starts the agent anew and waits until it has looked at the installation.
func (m *machine) restarted(code string) {
	m.t.Helper()
	since := clock.Now()
	m.Must("systemctl", "restart", agent)
	m.await(since, audit.StateRecorded, "code="+code, "severity=info")
	m.examined() // differences are told after that event; with this they have been
	m.delivered()
}

// change is something that is done to the installation, and the items that then differ, with what they are.
type change struct {
	what string
	do   func(m *machine)
	want map[string]string
}

var changes = []change{
	{"a drop-in", func(m *machine) {
		m.Write("/etc/systemd/system/stepaway.service.d/override.conf", "[Service]\nRestart=no\nOOMScoreAdjust=0\n", 0o644)
		m.Must("systemctl", "daemon-reload")
	}, map[string]string{"etc:stepaway.service.d/override.conf": "", "stepaway.service Restart": "no", "stepaway.service OOMScoreAdjust": "0",
		"stepaway.service DropInPaths": "/etc/systemd/system/stepaway.service.d/override.conf"}},
	{"a setting until the next boot", func(m *machine) {
		m.Must("systemctl", "set-property", "--runtime", courier, "CPUQuota=1%")
	}, map[string]string{"stepaway-courier.service CPUQuotaPerSecUSec": "10ms", "stepaway-courier.service DropInPaths": ""}},
	{"another tray", func(m *machine) { m.Write("/usr/bin/stepaway-tray", "#!/bin/sh\nexec sleep 1000\n", 0o755) },
		map[string]string{"stepaway-tray": ""}},
	{"others may write the agent", func(m *machine) { m.Must("chmod", "775", "/usr/bin/stepaway-agent") },
		map[string]string{"stepaway-agent mode": "0775"}},
	{"the courier is the user's", func(m *machine) { m.Must("chown", "nurse", "/usr/bin/stepaway-courier") },
		map[string]string{"stepaway-courier owner": "1000:0"}},
	{"the tray's entry", func(m *machine) {
		m.Write("/etc/xdg/autostart/stepaway-tray.desktop", "[Desktop Entry]\nHidden=true\n", 0o644)
	}, map[string]string{"autostart": ""}},
	{"the courier at boot", func(m *machine) { m.Must("systemctl", "mask", "--runtime", courier) },
		map[string]string{"stepaway-courier.service UnitFileState": "masked-runtime", "run:stepaway-courier.service": "special"}},
}

// What an installation consists of is recorded; what changes without an upgrade is an alert until an administrator
// approves it, and nobody else can.
func TestMachineDriftIsSaidUntilItIsApproved(t *testing.T) {
	m := install(t, calm)
	first := m.await(0, audit.StateRecorded, "code=first")
	i := m.examined()
	for name, want := range map[string]string{"stepaway.service Restart": "always", "stepaway.service ExecStart": "/usr/bin/stepaway-agent run",
		"stepaway.service WatchdogUSec": "set", "stepaway-courier.service WatchdogUSec": "set",
		"stepaway-courier.service User":            "stepaway",
		"stepaway-courier.service NoNewPrivileges": "yes", "stepaway-agent mode": "0755", "stepaway-agent owner": "0:0",
		"lib:stepaway.service owner": "0:0", "service-manager": "answers", "policy": m.status().Policy} {
		if i.Items[name] != want {
			t.Errorf("%s is %q, want %q", name, i.Items[name], want)
		}
	}
	if i.Hash != fact(first, "ref") || i.Hash != i.Approved || len(i.Differences) != 0 || len(i.Items["stepaway-agent"]) != 64 {
		t.Errorf("recorded %s, then %s, approved %s; %v", fact(first, "ref"), i.Hash, i.Approved, i.Differences)
	}
	since := clock.Now()
	m.restarted("start")
	m.rule("limit: 7m\nwarning: 1m\n")
	m.restarted("start")
	m.none(since, audit.StateDrifted)
	m.step("no drift by a new start and another policy")

	began := clock.Now()
	for _, c := range changes {
		since := clock.Now()
		c.do(m)
		m.examined()
		for name, want := range c.want {
			e := m.await(since, audit.StateDrifted, "key="+name, "severity=alert", "outcome=failure")
			if want != "" && fact(e, "new") != want {
				t.Errorf("%s: %s", c.what, encode(e))
			}
		}
		m.step(c.what)
	}
	n := len(m.examined().Differences)
	m.delivered()
	if told := m.count(began, audit.StateDrifted); told != n || n < 11 {
		t.Errorf("%d differences, told %d times", n, told)
	}
	m.Must("systemctl", "unmask", "--runtime", courier)
	n = len(m.examined().Differences)
	since = clock.Now()
	m.restarted("start")
	if told := m.count(since, audit.StateDrifted); told != n {
		t.Errorf("%d differences, after a new start told %d times", n, told)
	}
	m.step("said again after a new start")

	m.notByAUser()
	since = clock.Now()
	if out := m.Must("stepaway-agent", "state", "approve"); !strings.Contains(out, "stepaway-agent mode") || !strings.Contains(out, "approved "+m.examined().Hash) {
		t.Errorf("printed %s", out)
	}
	m.await(since, audit.StateApproved, "severity=warning", "source=root", "ref="+m.examined().Approved)
	m.restarted("start")
	m.none(since, audit.StateDrifted)
	if out := m.Must("stepaway-agent", "state", "approve"); !strings.Contains(out, "as approved") {
		t.Errorf("nothing to approve: %s", out)
	}
	m.step("approved")
	m.otherVersions()
	m.verified()
}

func (m *machine) count(since time.Duration, t audit.Type) (n int) {
	for _, e := range m.events(since) {
		if e.Type == t {
			n++
		}
	}
	return n
}

// notByAUser: whatever nurse tries, nothing is approved.
func (m *machine) notByAUser() {
	m.t.Helper()
	since := clock.Now()
	m.Must("chmod", "755", "/usr/bin/stepaway-agent") // and back below, so that there is something new to approve
	hash := m.examined().Hash
	for _, try := range [][]string{
		{"stepaway-agent", "state", "approve"},
		{"stepaway-agent", "state", "show"},
		{"sh", "-c", `echo '{"name":"x","approve":"` + hash + `"}' > /var/lib/stepaway/agent/inventory.ask`},
		{"sh", "-c", `echo '{"name":"x","approve":"` + hash + `"}' > /tmp/ask && mv /tmp/ask /var/lib/stepaway/agent/inventory.ask`},
		{"rm", "/var/lib/stepaway/agent/inventory.json"},
		{"cat", "/var/lib/stepaway/agent/inventory.json"},
	} {
		if out, err := m.Run(context.Background(), append([]string{"runuser", "-u", "nurse", "--"}, try...)...); err == nil {
			m.t.Errorf("a user could: %q: %s", try, out)
		}
	}
	m.Write("/tmp/ask", `{"name":"x","approve":"`+hash+`"}`, 0o644)
	m.Must("chown", "nurse", "/tmp/ask")
	m.Must("mv", "/tmp/ask", "/var/lib/stepaway/agent/inventory.ask") // even so
	if i := m.examined(); i.Hash == i.Approved {
		m.t.Error("approved by a user's file")
	}
	m.Must("chmod", "775", "/usr/bin/stepaway-agent")
	m.examined()
	m.delivered()
	m.none(since, audit.StateApproved)
	m.step("not by a user")
}

// otherVersions: an upgrade is a new first state, going back is not; neither is damage.
func (m *machine) otherVersions() {
	m.t.Helper()
	newer := filepath.Join(m.t.TempDir(), "agent")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.version=0.0.2", "-o", newer, "stepaway/cmd/agent")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		m.t.Fatalf("build another version: %v\n%s", err, out)
	}
	m.Must("rm", "/etc/systemd/system/stepaway.service.d/override.conf")
	m.Must("systemctl", "daemon-reload")
	m.examined() // a difference that the upgrade has nothing to do with
	since := clock.Now()
	m.Copy(newer, "/usr/bin/stepaway-agent")
	m.restarted("upgrade")
	m.await(since, audit.StateDrifted, "key=stepaway.service Restart", "old=no", "new=always")
	m.none(since, audit.StateDrifted, "key=stepaway-agent")
	m.Must("stepaway-agent", "state", "approve")

	since = clock.Now()
	m.Copy(filepath.Join(programs(m.t), "stepaway-agent"), "/usr/bin/stepaway-agent")
	m.restarted("start")
	m.await(since, audit.StateDrifted, "key=version", "old=0.0.2", "new=0.0.1-test", "code=downgrade")
	m.await(since, audit.StateDrifted, "key=stepaway-agent")
	m.step("upgrade and downgrade")

	since = clock.Now()
	m.Must("truncate", "-s", "100", "/var/lib/stepaway/agent/inventory.json")
	m.restarted("damaged")
	m.await(since, audit.StateDrifted, "key=approved-state", "code=damaged")
	m.restarted("start")
	m.step("damaged")
}
