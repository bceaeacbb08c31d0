//go:build linux

// Package packaging is tested as a machine would use it: units and account in a container with systemd.
package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"stepaway/test/rig"
)

const units = "/usr/lib/systemd/system/"

// installed boots a machine with the programs, units and account as docs/install.md puts them there.
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
	for _, u := range []string{"stepaway.service", "stepaway-courier.service"} {
		c.Copy(filepath.Join("systemd", u), units+u)
	}
	c.Copy("sysusers.d/stepaway.conf", "/usr/lib/sysusers.d/stepaway.conf")
	c.Must("systemd-sysusers")
	c.Write("/etc/stepaway/policy.yaml", "limit: 15m\n", 0o644)
	c.Must("systemctl", "daemon-reload")
	return c
}

// property of a unit, as systemd has it.
func property(c *rig.Container, unit, name string) string {
	return c.Must("systemctl", "show", "--value", "-p", name, unit)
}

func TestUnitsAreTakenAsTheyAre(t *testing.T) {
	c := installed(t)
	out, err := c.Run(t.Context(), "systemd-analyze", "verify", "--man=no", units+"stepaway.service", units+"stepaway-courier.service")
	if err != nil || strings.Contains(out, "stepaway") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

func TestServicesStartAndKeepTheirPlaces(t *testing.T) {
	c := installed(t)
	c.Must("systemctl", "start", "stepaway.service", "stepaway-courier.service") // Type=notify: returns once both are ready
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
	c.Must("systemctl", "start", "stepaway.service")
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

// A program that hangs is found by the watchdog.
func TestStoppedAgentIsReplaced(t *testing.T) {
	c := installed(t)
	c.Must("systemctl", "start", "stepaway.service")
	was := property(c, "stepaway.service", "MainPID")
	c.Must("kill", "-STOP", was)
	c.WaitFor("a new agent in place of the one that hangs", func() bool {
		now := property(c, "stepaway.service", "MainPID")
		return now != "0" && now != was && property(c, "stepaway.service", "ActiveState") == "active"
	})
}
