package whole

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"stepaway/doctor"
	"stepaway/link"
	"stepaway/test/rig"
)

// diagnosis runs doctor in the machine and gives its findings and whether it exits 0.
func (m *machine) diagnosis(as ...string) (fs []doctor.Finding, clean bool) {
	m.t.Helper()
	out, err := m.Command(context.Background(), append(as, "stepaway-agent", "doctor", "--json")...).Output()
	var got struct {
		Findings []doctor.Finding
		Failed   bool
	}
	if bad := json.Unmarshal(out, &got); bad != nil || got.Failed != (err != nil) {
		m.t.Fatalf("doctor: %v, %v: %s", err, bad, out)
	}
	return got.Findings, err == nil
}

// finds tells whether doctor says something of a check.
func finds(fs []doctor.Finding, id string, v doctor.Verdict, saw string) bool {
	return slices.ContainsFunc(fs, func(f doctor.Finding) bool { return f.ID == id && f.Verdict == v && strings.Contains(f.Saw, saw) })
}

// Doctor finds nothing that fails on a machine that is as the documentation says, and each thing that is then broken.
func TestMachineDoctorFindsWhatIsBroken(t *testing.T) {
	m := install(t, calm+"lock: {fallback: [/usr/bin/i3lock, -n]}\n")
	m.Must("systemctl", "enable", agent, courier)
	id := m.desktop(rig.ObeysLock)
	m.patiently("the courier", func() bool { c := m.status().Courier; return c != nil && c.Collector == "up" })
	fs, clean := m.diagnosis()
	for _, w := range []struct{ id, saw string }{
		{"service.agent", "active and enabled"}, {"service.courier", "active and enabled"}, {"link", "0.0.1-test"}, {"session.input", "session " + id},
		{"session.locker", "i3lock, proved by locker"}, {"lock.fallback", "/usr/bin/i3lock"}, {"unlock.password", "i3lock, PAM service i3lock: password asked"},
		{"logon.automatic", ""}, {"files", "looked at"}, {"policy", "limit 10m"}, {"collector", "enrolled"}, {"spool", "wait"}, {"sleep", "locks before"}, {"kernel", ""},
	} {
		if !finds(fs, w.id, doctor.OK, w.saw) && !(w.id == "session.input" && finds(fs, w.id, doctor.Note, w.saw)) {
			t.Errorf("%s does not say %q", w.id, w.saw)
		}
	}
	if !clean || t.Failed() {
		t.Fatalf("on a machine that is well: %+v", fs)
	}
	m.step("nothing fails")
	if fs, clean := m.diagnosis("runuser", "-u", "nurse", "--"); !finds(fs, "collector", doctor.Note, "only root") || !clean {
		t.Errorf("as a user: %+v", fs)
	}

	m.Must("systemctl", "stop", courier)
	m.Must("chmod", "666", "/var/lib/stepaway/agent/inventory.json")
	m.Must("chmod", "777", "/etc/stepaway")
	m.Must("sh", "-c", "printf '[Seat:*]\nautologin-user=nurse\n' | install -D /dev/stdin /etc/lightdm/lightdm.conf")
	m.Must("passwd", "-d", "doctor")
	m.Must("chmod", "777", "/usr/bin/i3lock")
	m.Must("systemd-run", "-q", "systemd-inhibit", "--what=sleep", "--who=video", "--mode=block", "sleep", "600")
	m.patiently("the inhibitor", func() bool { fs, clean = m.diagnosis(); return finds(fs, "sleep", doctor.Note, "video blocks sleep") })
	for _, w := range []struct{ id, saw string }{
		{"service.courier", "inactive"}, {"link", "courier is not connected"}, {"files", "/var/lib/stepaway/agent/inventory.json has mode 0666"}, {"files", "/etc/stepaway has mode 0777"},
		{"logon.automatic", "autologin-user"}, {"logon.blank", "1 accounts"}, {"lock.fallback", "can be changed by others"}, {"policy", "others may write"},
	} {
		if !finds(fs, w.id, doctor.Fail, w.saw) {
			t.Errorf("%s does not fail for %q", w.id, w.saw)
		}
	}
	if clean || t.Failed() {
		t.Errorf("%+v", fs)
	}
	if text := m.Must("sh", "-c", "stepaway-agent doctor || true"); strings.Contains(text, "nurse") || !strings.Contains(text, "-> chmod 0600 /var/lib/stepaway/agent/inventory.json") {
		t.Errorf("%s", text)
	}
	m.Must("systemctl", "kill", "-s", "STOP", agent) // it must not wait for an agent that hangs
	began := time.Now()
	if fs, _ := m.diagnosis(); !finds(fs, "link", doctor.Fail, "no answer") || time.Since(began) > rig.Patience {
		t.Errorf("of an agent that hangs, after %v: %+v", time.Since(began), fs)
	}
}

// What doctor reads in a PAM stack is what the real i3lock does.
func TestMachineI3lockOpensAsDoctorSays(t *testing.T) {
	m := install(t, calm)
	m.desktop()
	for _, c := range []struct {
		name, stack    string // what /etc/pam.d/i3lock says; "" takes the file away
		says           string
		verdict        doctor.Verdict
		wrong, correct bool // whether that opens
	}{
		{"as Debian has it", "auth include login\n", "password asked", doctor.OK, false, true},
		{"without its file", "", "those of other are used): password asked", doctor.OK, false, true},
		{"permit", "auth sufficient pam_permit.so\nauth include login\n", "no password asked: line 1 of /etc/pam.d/i3lock", doctor.Fail, true, true},
		{"without deny", "auth [success=1 default=ignore] pam_unix.so\n# auth requisite pam_deny.so\nauth required pam_permit.so\n", "no password asked: line 3", doctor.Fail, true, true},
		{"deny", "auth required pam_deny.so\n", "no password opens it", doctor.Fail, false, false},
	} {
		m.Must("rm", "-f", "/etc/pam.d/i3lock")
		if c.stack != "" {
			m.Write("/etc/pam.d/i3lock", c.stack, 0o644)
		}
		if fs, _ := m.diagnosis(); !finds(fs, "unlock.password", c.verdict, c.says) {
			t.Errorf("%s: %+v", c.name, fs)
		}
		m.Must("systemd-run", "-q", "--unit=locker", "-p", "User=nurse", "-E", "DISPLAY="+rig.Display, "-E", "XAUTHORITY=/home/nurse/.Xauthority", "i3lock", "-n")
		m.patiently("i3lock", func() bool { return len(m.find("nurse", "/usr/bin/i3lock")) > 0 })
		time.Sleep(time.Second) // until it has the keyboard
		if got := m.opens("wrong"); got != c.wrong {
			t.Errorf("%s: a wrong password opens: %v", c.name, got)
		}
		if got := m.opens("nurse"); got != c.correct {
			t.Errorf("%s: the right password opens: %v", c.name, got)
		}
		_, _ = m.Run(context.Background(), "systemctl", "stop", "locker")
		m.step(c.name)
	}
}

// opens types a password and tells whether the locker has gone some seconds later.
func (m *machine) opens(password string) bool {
	m.t.Helper()
	for end := time.Now().Add(6 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if len(m.find("nurse", "/usr/bin/i3lock")) == 0 {
			return true
		}
		if password != "" {
			m.say(password)
			password = ""
		}
	}
	return false
}

// The log goes to the journal with its fields, and the figures to a file that all may read.
func TestMachineJournalAndMetrics(t *testing.T) {
	m := install(t, brisk+"lock: {fallback: [/usr/bin/i3lock, -n]}\n")
	id := m.desktop(rig.ObeysLock)
	m.phase(id, link.Secured)
	m.Write(policyAt, "limit: never\n", 0o644)
	var entries string
	m.patiently("the warning in the journal", func() bool {
		entries, _ = m.Run(context.Background(), "journalctl", "-q", "-p", "warning", "-u", agent, "-o", "json")
		return strings.Contains(entries, "policy not taken")
	})
	for line := range strings.Lines(entries) {
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e["PRIORITY"] != "3" && e["PRIORITY"] != "4" {
			t.Errorf("among the warnings: %s", line)
		}
		if text, _ := e["MESSAGE"].(string); strings.HasPrefix(text, "policy not taken;") && e["STEPAWAY_IN_FORCE"] != "last good" {
			t.Errorf("no field: %s", line)
		}
	}
	if all := m.Must("journalctl", "-q", "-u", agent, "-o", "cat"); !strings.Contains(all, "enforcing version=0.0.1-test") {
		t.Errorf("the journal has not: enforcing\n%s", all)
	}

	const file = "/run/stepaway/metrics/stepaway.prom"
	var text string
	m.patiently("the figures of the lock", func() bool { // written once a minute
		b, err := os.ReadFile(m.Path(file))
		text = string(b)
		return err == nil && strings.Contains(text, `stepaway_events_total{type="lock.proved"} 1`+"\n")
	})
	for _, want := range []string{`stepaway_sessions{state="secured"} 1`, `stepaway_locks_total{rung="logind",proof="locker"} 1`, "stepaway_lock_lateness_seconds_count 1",
		"stepaway_collector_up 1", `stepaway_info{version="0.0.1-test",policy="`} {
		if !strings.Contains(text, want) {
			t.Errorf("the file lacks %s", want)
		}
	}
	if mode := m.Must("stat", "-c", "%a %U", file); mode != "644 root" || strings.Contains(text, "nurse") {
		t.Errorf("%s: %s", mode, text)
	}
	m.As("nurse", "", "cat", file)
	if now := m.Must("stepaway-agent", "status", "--prometheus"); !strings.Contains(now, `type="policy.rejected"}`) || strings.Contains(now, `type="policy.rejected"} 0`) {
		t.Errorf("%s", now)
	}
}
