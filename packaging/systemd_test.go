//go:build linux

package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stepaway/test/rig"
)

const units = "/etc/systemd/system/"

// installed boots a machine on which the programs are in /usr/bin and registered, as docs/install.md says.
func installed(t *testing.T) *rig.Container {
	t.Helper()
	c := rig.Boot(t)
	bin := t.TempDir()
	for _, p := range []string{"agent", "courier"} {
		build := exec.Command("go", "build", "-buildvcs=false", "-o", bin, "stepaway/cmd/"+p)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", p, err, out)
		}
		c.Copy(filepath.Join(bin, p), "/usr/bin/stepaway-"+p)
	}
	c.Write("/etc/stepaway/policy.yaml", "limit: 15m\n", 0o644)
	c.Must("stepaway-agent", "install") // Type=notify: it returns once both services are ready
	return c
}

// property of a unit, as systemd has it.
func property(c *rig.Container, unit, name string) string {
	return c.Must("systemctl", "show", "--value", "-p", name, unit)
}

func TestUnitsAreTakenAsTheyAre(t *testing.T) {
	c := installed(t)
	out, err := c.Run(t.Context(), "systemd-analyze", "verify", "--man=no", units+"stepaway.socket", units+"stepaway.service",
		units+"stepaway-courier.service")
	if err != nil || strings.Contains(out, "stepaway") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

func TestServicesStartAndKeepTheirPlaces(t *testing.T) {
	c := installed(t)
	if out := c.Must("stepaway-agent", "status"); !strings.Contains(out, "stepaway-agent") {
		t.Errorf("status says %q", out)
	}
	c.WaitFor("the courier at the agent's link", func() bool {
		out, _ := c.Run(t.Context(), "stepaway-agent", "status")
		return !strings.Contains(out, "not connected")
	})
	pid := property(c, "stepaway-courier.service", "MainPID")
	status := c.Must("cat", "/proc/"+pid+"/status")
	for _, want := range []string{"CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"} {
		if !strings.Contains(status, want) {
			t.Errorf("the courier lacks %q", want)
		}
	}
	for path, want := range map[string]string{
		"/var/lib/stepaway/courier": "700 stepaway:stepaway",
		"/var/lib/stepaway/agent":   "700 root:root",
		"/run/stepaway":             "755 root:root",
		"/run/stepaway/link.sock":   "666 root:root",
	} {
		if got := c.Must("stat", "-c", "%a %U:%G", path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}

// A service manager that gives up after some failures would leave every session open.
func TestKilledAgentComesBackEveryTime(t *testing.T) {
	c := installed(t)
	for range 15 { // the manager's own limit is 5 starts in 10 seconds
		was := property(c, "stepaway.service", "MainPID")
		c.Must("kill", "-KILL", was)
		c.WaitFor("the agent after it was killed", func() bool {
			now := property(c, "stepaway.service", "MainPID")
			return now != "0" && now != was && property(c, "stepaway.service", "ActiveState") == "active"
		})
	}
	if n := property(c, "stepaway.service", "NRestarts"); n != "15" {
		t.Errorf("%s restarts, want 15", n)
	}
}

// A program that hangs is found by the watchdog, within a minute where nobody is logged on.
func TestStoppedAgentIsReplaced(t *testing.T) {
	c := installed(t)
	c.WaitFor("a longer watchdog", func() bool { return property(c, "stepaway.service", "WatchdogUSec") == "1min" })
	was := property(c, "stepaway.service", "MainPID")
	c.Must("kill", "-STOP", was)
	time.Sleep(30 * time.Second)
	c.WaitFor("a new agent in place of the one that hangs", func() bool {
		now := property(c, "stepaway.service", "MainPID")
		return now != "0" && now != was && property(c, "stepaway.service", "ActiveState") == "active"
	})
}

// Peers that come while the agent is away wait for it; the socket is never away, nor made anew.
func TestSocketStaysWhileTheAgentIsRestarted(t *testing.T) {
	c := installed(t)
	node := func() string { return c.Must("stat", "-c", "%i", "/run/stepaway/link.sock") }
	was := node()
	c.Must("systemctl", "restart", "stepaway.service")
	c.Must("kill", "-KILL", property(c, "stepaway.service", "MainPID"))
	if out := c.Must("stepaway-agent", "status"); !strings.Contains(out, "stepaway-agent") {
		t.Errorf("status asked for while the agent was away says %q", out)
	}
	if now := node(); now != was {
		t.Error("the socket was made anew")
	}
	c.Must("systemctl", "stop", "stepaway.service")
	if out := c.Must("stepaway-agent", "status"); !strings.Contains(out, "stepaway-agent") {
		t.Errorf("status asked for after the agent was stopped says %q", out)
	}
	if state := property(c, "stepaway.socket", "ActiveState"); state != "active" {
		t.Errorf("the socket is %s", state)
	}
}

// The figures of systemd-analyze security are what the design allows at most.
func TestUnitsAreSandboxed(t *testing.T) {
	c := installed(t)
	for unit, most := range map[string]string{"stepaway.service": "40", "stepaway-courier.service": "20"} {
		out, err := c.Run(t.Context(), "systemd-analyze", "security", "--no-pager", "--threshold="+most, unit)
		if err != nil {
			t.Errorf("%s: %v\n%s", unit, err, out)
		}
		lines := strings.Split(strings.TrimSpace(out), "\n")
		t.Log(lines[len(lines)-1])
	}
}

func TestUninstallTakesTheServicesAndLeavesTheRecords(t *testing.T) {
	c := installed(t)
	c.Must("stepaway-agent", "install") // once more does no harm
	c.Must("stepaway-agent", "uninstall")
	for _, u := range []string{"stepaway.socket", "stepaway.service", "stepaway-courier.service"} {
		if state := property(c, u, "ActiveState"); state != "inactive" {
			t.Errorf("%s is %s", u, state)
		}
		if state := property(c, u, "LoadState"); state != "not-found" {
			t.Errorf("%s is still there: %s", u, state)
		}
	}
	c.Must("test", "-d", "/var/lib/stepaway/courier")
	c.Must("test", "-f", "/etc/stepaway/policy.yaml")
	c.Must("stepaway-agent", "uninstall") // once more does no harm
}
