package msi

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/packaging"
	"stepaway/test/rig"
)

// collector is a real one on this machine, at an address that nothing else uses.
type collector struct {
	t                      *testing.T
	program, data, address string
}

func aCollector(t *testing.T) collector {
	t.Helper()
	dir := t.TempDir()
	host := fmt.Sprintf("127.%d.%d.%d", 1+rand.N(254), rand.N(256), 1+rand.N(254))
	c := collector{t, filepath.Join(dir, "stepaway-collector"), filepath.Join(dir, "data"), net.JoinHostPort(host, "8443")}
	build := exec.Command("go", "build", "-buildvcs=false", "-o", c.program, "stepaway/cmd/collector")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the collector: %v\n%s", err, out)
	}
	c.must("init", "--data", c.data, "--host", host)
	rig.Start(t, exec.Command(c.program, "serve", "--data", c.data, "--listen", c.address))
	rig.WaitFor(t, "the collector to listen", func() bool {
		conn, err := net.Dial("tcp", c.address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return c
}

func (c collector) must(args ...string) string {
	c.t.Helper()
	cmd := exec.Command(c.program, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		c.t.Fatalf("stepaway-collector %q: %v", args, err)
	}
	return string(out)
}

func (c collector) token(device string) string {
	c.t.Helper()
	lines := strings.Split(strings.TrimSpace(c.must("token", "--data", c.data, device)), "\n")
	return lines[len(lines)-1]
}

func (c collector) events() (out []audit.Event) {
	c.t.Helper()
	for line := range strings.Lines(c.must("events", "--data", c.data, "--json")) {
		var e audit.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			c.t.Fatalf("%v in %s", err, line)
		}
		out = append(out, e)
	}
	return out
}

// started are the events of a device's agent that tell of its start by this version.
func (c collector) started(device, version string) (out []audit.Event) {
	for _, e := range c.events() {
		if e.Type == audit.AgentStart && string(e.Device) == device && e.Agent == version {
			out = append(out, e)
		}
	}
	return out
}

// gap is between the end of the first agent and the next start.
func (c collector) gap() time.Duration {
	var ended time.Time
	for _, e := range c.events() {
		switch {
		case e.Type == audit.AgentStop:
			ended = e.Wall
		case e.Type == audit.AgentStart && !ended.IsZero():
			return e.Wall.Sub(ended)
		}
	}
	return 0
}

// One command installs, enrolls, and what the agent records reaches the collector with site and unit; an upgrade is the same
// device; and when everything was delivered nothing is left.
func TestInstallationEnrolls(t *testing.T) {
	t.Parallel()
	d, m, c := packages(t), aMachine(t), aCollector(t)
	m.msiexec(done, "/i", d.older, "COLLECTOR_URL=https://"+c.address, "ENROLL_TOKEN="+c.token("ward-7"), "SITE=North", "UNIT=Ward-3")
	m.runs()
	rig.WaitFor(t, "the start of the agent at the collector", func() bool { return len(c.started("ward-7", older)) > 0 })
	if e := c.started("ward-7", older)[0]; e.Site != "North" || e.Unit != "Ward-3" {
		t.Errorf("it came from %q, %q", e.Site, e.Unit)
	}
	rig.WaitFor(t, "the token to be taken away", func() bool { return m.value(packaging.EnrolKey, packaging.EnrolToken) == "" })

	m.msiexec(done, "/i", d.newer)
	m.runs()
	rig.WaitFor(t, "the start of the new agent at the collector", func() bool { return len(c.started("ward-7", newer)) > 0 })
	if e := c.started("ward-7", newer)[0]; e.Site != "North" || e.Unit != "Ward-3" {
		t.Errorf("it came from %q, %q", e.Site, e.Unit)
	}
	c.must("verify", "--data", c.data)
	t.Logf("without an agent for %v while it was upgraded, on a machine with other work", c.gap())

	m.msiexec(done, "/x", m.code(d.newer))
	m.removed()
	if left := m.left(data); left != nil {
		t.Errorf("everything was delivered, and left is %q", left)
	}
	last := c.events()
	last = slices.DeleteFunc(last, func(e audit.Event) bool { return e.Type == audit.CollectorUp }) // the courier's own, at its leisure
	if e := last[len(last)-1]; e.Type != audit.AgentStop {
		t.Errorf("the last event is %s, not the end of the agent", e.Type)
	}
}
