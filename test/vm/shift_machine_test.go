//go:build linux && machine

package vm

import (
	"strings"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/link"
	"stepaway/test/vm/qemu"
)

// TestMachine is one long shift at one workstation: its parts build on one another, but each begins with an open desktop.
func TestMachine(t *testing.T) {
	w := &ward{t: t, began: time.Now(), shots: shots(t), shift: &shift{}}
	w.Machine = qemu.New(t, payload(t), w.shots)
	w.step("programs and disk are made")
	w.Start()
	w.step("the kernel is up")
	w.until("the greeter", w.greeter)
	w.step("the greeter is up")
	w.setUp()
	w.logOn()
	parts := []struct {
		name string
		test func(w *ward)
	}{
		{"lock", (*ward).locksByIdle},
		{"input", (*ward).onlyHardwareCounts},
		{"plug", (*ward).keyboardIsPlugged},
		{"suspend", (*ward).sleepsLocked},
		{"rtcwake", (*ward).sleepsAcrossADeadline},
		{"clock", (*ward).clockIsSet},
		{"kill and stop", (*ward).killedAndStopped},
		{"upgrade", (*ward).upgradedWhileLocked},
		{"power", (*ward).powerIsPulled},
		{"lateness", (*ward).isPunctual},
		{"idle", (*ward).restsQuietly},
	}
	for _, part := range parts {
		t.Run(part.name, func(t *testing.T) {
			one := *w
			one.t, one.Machine.T = t, t
			t.Cleanup(func() {
				if t.Failed() {
					one.report()
				}
			})
			part.test(&one)
		})
		w.Machine.T = t
		w.record("events", w.collector("events"))
	}
}

// setUp installs the packages, with a collector on the machine itself.
func (w *ward) setUp() {
	w.t.Helper()
	w.install("stepaway-collector", versions[0])
	w.collector("init")
	w.write("/etc/default/stepaway-collector", "ARGS=\"--listen 127.0.0.1:8443\"\n")
	w.must("systemctl", "restart", "stepaway-collector.service")
	w.install("stepaway", versions[0])
	said := strings.Split(w.collector("token", "--url", "https://127.0.0.1:8443", "ward3-pc07"), "\n")
	w.must("runuser", "-u", "stepaway", "--", "stepaway-courier", "enroll", "--token", said[len(said)-1])
	w.write(policyAt, calm)
	w.step("installed")
}

// install installs a package, or another version of it.
func (w *ward) install(pkg, version string) {
	w.t.Helper()
	w.must("dpkg", "-i", "/payload/"+pkg+"_"+version+"_amd64.deb")
}

// logOn types name and password at the first greeter, and waits for the desktop with its locker and our tray.
func (w *ward) logOn() {
	w.t.Helper()
	w.logIn("nurse", func() bool {
		_, ok := w.try("sh", "-c", "pgrep -u nurse light-locker && pgrep -u nurse xfdesktop")
		return ok
	})
	w.step("the desktop is up")
	w.until("the tray", func() bool { s, _ := w.session(); return s.Tray })
	w.until("the icon", func() bool { return w.icon(green) })
	w.step("the tray is up")
	w.Shot("desktop")
}

// locksByIdle lets a deadline pass, and comes back with a wrong and with the right password.
func (w *ward) locksByIdle() {
	w.under(brisk)
	last := w.touch()
	w.until("the icon of a warning", func() bool { return w.icon(amber) })
	w.until("the warning", func() bool { return w.bubble() })
	w.Shot("warning")
	w.locked(last)
	w.Shot("locked")
	w.rule(calm)

	if w.asks() == "name" {
		w.Type("nurse")
		w.until("the question for the password", func() bool { return w.asks() == "password" })
	}
	w.Type("wrong")
	w.until("the refusal", w.refused)
	w.Shot("wrong-password")
	if s, _ := w.session(); s.State.Phase != link.Secured {
		w.t.Errorf("after a wrong password the session is %s", s.State.Phase)
	}
	w.none(last, audit.UnlockSeen)
	w.open()
	w.Shot("open-again")
}
