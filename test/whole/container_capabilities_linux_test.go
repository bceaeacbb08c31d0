package whole

import (
	"context"
	"strings"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/clock"
	"stepaway/test/rig"
)

const trial = `limit: 6s
warning: 2s
action: close-clients-and-lock
clients:
  - {name: Polite, paths: [/opt/ehr/polite], at_deadline: close, grace: 2s, caches: [.cache/ehr]}
`

// The service has no capability that it can do without: with each of them taken away something is not done that is done
// with all of them.
func TestMachineEachCapabilityIsNeeded(t *testing.T) {
	m := install(t, calm)
	m.Must("install", "-D", "/usr/bin/sleep", "/opt/ehr/polite")
	unit := m.Must("systemctl", "show", "-P", "CapabilityBoundingSet", agent)
	blind := func(id string, _ time.Duration) { // neither which display it is, nor its cookie
		m.pause(5 * time.Second)
		if s, _ := m.guarded(id); s.Readable || !strings.Contains(s.Why, "cookie=no") {
			t.Errorf("input is seen all the same: %s", s.Why)
		}
	}
	lacks := map[string]func(id string, since time.Duration){
		"": func(id string, since time.Duration) {
			m.await(since, audit.LockProved, "session="+id, "proof=locker")
			m.await(since, audit.ClientClosed, "client=Polite", "count=1")
			m.await(since, audit.ClientCleared, "client=Polite")
			m.none(since, audit.ClientFailed)
		},
		"cap_dac_read_search": blind,
		"cap_sys_ptrace":      blind,
		"cap_kill": func(_ string, since time.Duration) {
			m.await(since, audit.ClientFailed, "client=Polite")
			if len(m.find("nurse", "/opt/ehr/polite")) == 0 {
				t.Error("the client was ended without the right to")
			}
		},
		"cap_setuid": func(_ string, since time.Duration) { m.await(since, audit.ClientFailed, "client=Polite", "code=cache") },
		"cap_setgid": func(_ string, since time.Duration) { m.await(since, audit.ClientFailed, "client=Polite", "code=cache") },
	}
	var cues []string
	for capability := range lacks {
		cues = append(cues, rig.When(capability, "/opt/ehr/polite 1000 &"))
	}
	id := m.desktop(append(cues, rig.ObeysLock)...)
	m.Must("chmod", "700", "/home/nurse")
	for _, capability := range append(strings.Fields(unit), "") {
		missed := lacks[strings.ToLower(capability)]
		if missed == nil {
			t.Errorf("nothing is known to need %s", capability)
			continue
		}
		since := m.without(capability, id)
		missed(id, since)
		m.step("without " + capability)
	}
}

// without starts the agent anew without a capability, and has a limit pass where input can be seen.
func (m *machine) without(capability, id string) (since time.Duration) {
	m.t.Helper()
	m.Must("systemctl", "stop", socket, agent) // the socket too: it would start the agent again at once
	m.Write(policyAt, calm, 0o644)
	_, _ = m.Run(context.Background(), "pkill", "-x", "i3lock")
	_, _ = m.Run(context.Background(), "pkill", "-x", "polite")
	m.Must("runuser", "-u", "nurse", "--", "sh", "-c", "mkdir -p ~/.cache/ehr && date >~/.cache/ehr/page")
	m.Do("nurse", strings.ToLower(capability))
	m.WaitFor("the client", func() bool { return len(m.find("nurse", "/opt/ehr/polite")) == 1 })
	m.Write("/run/systemd/system/"+agent+".d/without.conf", "[Service]\nCapabilityBoundingSet=~"+strings.ToUpper(capability)+"\n", 0o644)
	if capability == "" {
		m.Must("rm", "/run/systemd/system/"+agent+".d/without.conf")
	}
	m.Must("systemctl", "daemon-reload")
	m.Must("systemctl", "start", socket, agent)
	m.patiently("the session", func() bool { _, ok := m.guarded(id); return ok })
	if c := strings.ToLower(capability); c == "cap_dac_read_search" || c == "cap_sys_ptrace" {
		return clock.Now()
	}
	m.patiently("the session's input", func() bool { s, _ := m.guarded(id); return s.Readable })
	m.touch()
	return m.rule(trial)
}
