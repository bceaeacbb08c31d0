//go:build linux && machine

package vm

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/link"
	"stepaway/test/vm/qemu"
)

// TestMachine is a shift at one workstation. It is set up once, and every lane goes on from there on a machine of its own,
// all at a time: most of a lane is waiting. The parts of a lane build on one another, but each begins with an open desktop.
func TestMachine(t *testing.T) {
	began, pictures := time.Now(), shots(t)
	debs, helper := payload(t)
	first := &ward{t: t, began: began, shots: pictures, lane: "machine", shift: &shift{}}
	first.step("the programs are made")
	disk := qemu.Payload(t, debs)
	greeter := qemu.Greeter(t, disk, helper, func(m *qemu.Machine) bool { return (&ward{Machine: m, t: t}).greeter() })
	first.Machine = qemu.Wake(t, greeter, disk, pictures)
	first.step("the greeter is up")
	first.setUp()
	first.logOn()
	desktop := first.Keep()
	first.step("the desktop is kept")

	t.Run("lanes", func(t *testing.T) {
		for _, lane := range lanes {
			t.Run(lane.name, func(t *testing.T) {
				t.Parallel()
				w := *first
				w.t, w.lane, w.shots = t, lane.name, filepath.Join(pictures, lane.name)
				if err := os.Mkdir(w.shots, 0o755); err != nil {
					t.Fatal(err)
				}
				w.Machine = qemu.Wake(t, desktop, disk, w.shots)
				w.until("the machine to come to rest", w.rests)
				w.parts(lane.parts)
			})
		}
	})
	first.punctuality()
}

type part struct {
	name string
	test func(*ward)
}

// A QEMU sleeps once: version 7.2 leaves S3 at once when it is entered again, so no two parts with sleep follow one another
// without a start between them.
var lanes = []struct {
	name  string
	parts []part
}{
	{"idle", []part{
		{"idle", (*ward).restsQuietly},
		{"rtcwake", (*ward).sleepsAcrossADeadline},
	}},
	{"desk", []part{
		{"lock", (*ward).locksByIdle},
		{"input", (*ward).onlyHardwareCounts},
		{"plug", (*ward).keyboardIsPlugged},
		{"clock", (*ward).clockIsSet},
	}},
	{"trouble", []part{
		{"kill and stop", (*ward).killedAndStopped},
		{"upgrade", (*ward).upgradedWhileLocked},
		{"power", (*ward).powerIsPulled},
		{"suspend", (*ward).sleepsLocked},
	}},
}

// parts runs parts one after the other, as long as each leaves an open desktop behind.
func (w *ward) parts(list []part) {
	lane := w.t
	lane.Helper()
	for _, part := range list {
		ok := lane.Run(part.name, func(t *testing.T) {
			one := *w
			one.t, one.Machine.T = t, t
			t.Cleanup(func() {
				if t.Failed() {
					one.report()
				}
			})
			part.test(&one)
		})
		w.Machine.T = lane
		if s, _ := w.session(); !ok && s.State.Phase != link.Active {
			return
		}
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
	w.under(broad)
	w.until("the warning and its icon", w.bubble)
	w.Shot("warning")
	w.touch()
	w.until("the warning to go away", func() bool { return w.icon(green) && w.bare() })
	w.Shot("put-off")
	w.step("the warning was seen, and went away with a key")
	w.under(brisk)
	last := w.touch()
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
