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
	w := &ward{t: t, began: time.Now()}
	w.Machine = qemu.New(t, payload(t), shots(t))
	w.step("programs and disk are made")
	w.Start()
	w.step("the kernel is up")
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
	}
}

// setUp does what docs/install.md says, with a collector on the machine itself.
func (w *ward) setUp() {
	w.t.Helper()
	w.sh("install -m 755 /payload/" + versions[0] + "/stepaway-collector /usr/bin/")
	w.sh("install -d -m 755 /etc/stepaway")
	w.write(policyAt, calm)
	w.must("stepaway-collector", "init", "--data", data)
	w.write("/etc/systemd/system/collector.service", "[Service]\nType=notify\nRestart=always\nExecStart=/usr/bin/stepaway-collector serve --data "+
		data+" --listen 127.0.0.1:8443\n[Install]\nWantedBy=multi-user.target\n")
	w.must("systemctl", "enable", "-q", "--now", "collector.service")
	w.install(versions[0])
	said := strings.Split(w.must("stepaway-collector", "token", "--data", data, "--url", "https://127.0.0.1:8443", "ward3-pc07"), "\n")
	w.must("runuser", "-u", "stepaway", "--", "stepaway-courier", "enroll", "--token", said[len(said)-1])
	w.step("installed")
}

// install puts a version of the workstation's programs where another may be.
func (w *ward) install(version string) {
	w.t.Helper()
	for _, p := range []string{"agent", "courier", "tray"} {
		w.sh("install -m 755 /payload/" + version + "/stepaway-" + p + " /usr/bin/")
	}
	w.must("stepaway-agent", "install")
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
	w.step("the tray is up")
	w.Shot("desktop")
}

// locksByIdle lets a deadline pass, and comes back with a wrong and with the right password.
func (w *ward) locksByIdle() {
	w.under(brisk)
	last := w.touch()
	w.phase(link.Warned)
	w.Shot("warning")
	requested := w.onTime(last, promptly)
	proved := w.await(last, audit.LockProved, "proof=greeter")
	w.step("asked for a lock %v after the last key, proved %v later", at(requested)-last, at(proved)-at(requested))
	w.rule(calm)
	w.until("the greeter", w.greeter)
	w.Shot("locked")

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
