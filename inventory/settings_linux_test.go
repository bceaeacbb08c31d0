package inventory

import (
	"strings"
	"testing"

	"stepaway/test/rig"
)

// The service manager says the same of a unit whatever it is busy with, and another thing when a setting changes.
func TestSettingsInForce(t *testing.T) {
	rig.InContainer(t, func(t *testing.T, c *rig.Container) {
		const dropIn = "/etc/systemd/system/stepaway.service.d/x.conf"
		c.Write("/etc/systemd/system/stepaway.service", "[Service]\nExecStart=/usr/bin/sleep 1000\nRestart=always\nStartLimitIntervalSec=0\n", 0o644)
		c.Must("systemctl", "daemon-reload")
		p := System("/usr/bin")
		first := p.Take(t.Context(), "1.0", "aa")
		for name, want := range map[string]string{Managed: "answers", "stepaway.service Restart": "always", "stepaway.service ExecStart": "/usr/bin/sleep 1000",
			"stepaway.service DropInPaths": "none", "stepaway-courier.service LoadState": "not-found"} {
			if first.Items[name] != want {
				t.Errorf("%s is %q, want %q", name, first.Items[name], want)
			}
		}
		for range 10 {
			c.Must("systemctl", "restart", "--no-block", "stepaway.service")
			if d := Compare(first, p.Take(t.Context(), "1.0", "aa")); len(d) > 0 {
				t.Errorf("after a new start: %v", d)
			}
		}
		c.Write(dropIn, "[Service]\nRestart=no\nExecStart=\nExecStart=/usr/bin/sleep 2000\n", 0o644)
		differs := func() (names []string) {
			for _, d := range Compare(first, p.Take(t.Context(), "1.0", "aa")) {
				names = append(names, d.Name)
			}
			return names
		}
		if got := strings.Join(differs(), ", "); got != "etc:stepaway.service.d/x.conf" {
			t.Errorf("before it is in force: %s", got)
		}
		c.Must("systemctl", "daemon-reload")
		if got := strings.Join(differs(), ", "); got != "etc:stepaway.service.d/x.conf, stepaway.service DropInPaths, stepaway.service ExecStart, stepaway.service Restart" {
			t.Errorf("in force: %s", got)
		}
	})
}
