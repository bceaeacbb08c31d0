//go:build linux

package qemu

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Kept is a machine as it was at one moment: any number of machines go on from there.
type Kept struct {
	image string
	disk  string
	state string // its memory and its devices
}

// Keep ends the machine and returns what it was.
func (m *Machine) Keep() Kept {
	m.T.Helper()
	k := Kept{image: m.image, disk: m.in("disk.qcow2"), state: m.in("state")}
	m.must("umount", "/payload")
	m.must("sync")
	m.do("migrate-set-parameters", map[string]any{"max-bandwidth": int64(8 << 30)})
	m.do("migrate", map[string]any{"uri": "exec:cat >'" + k.state + "'"})
	for end := time.Now().Add(10 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		var now struct {
			Status string `json:"status"`
			Why    string `json:"error-desc"`
		}
		if err := m.monitor.do("query-migrate", nil, &now); err != nil {
			m.T.Fatalf("QEMU: %v", err)
		}
		if now.Status == "completed" {
			break
		}
		if now.Status == "failed" || time.Now().After(end) {
			m.T.Fatalf("keep the machine's state: %s %s", now.Status, now.Why)
		}
	}
	m.do("quit", nil)
	<-m.monitor.gone
	return k
}

// Wake is a machine that goes on from what was kept, with another payload, and knows what time it is. Its pictures are kept in shots.
func Wake(t testing.TB, k Kept, payload, shots string) *Machine {
	t.Helper()
	m := fresh(t, k.image, k.disk, "qcow2", payload, shots)
	m.run("-incoming", "exec:cat '"+k.state+"'")
	m.must("date", "-u", "-s", "@"+fmt.Sprint(time.Now().Unix()))
	return m
}

// Greeter is what a machine was when it had booted and its greeter was there. It is made once, in about a minute and beside the
// image, for one QEMU and one helper.
func Greeter(t testing.TB, payload, helper string, there func(*Machine) bool) Kept {
	t.Helper()
	image := base(t)
	dir := filepath.Join(image, "greeter-"+identity(t, helper))
	k := Kept{image: image, disk: filepath.Join(dir, "disk.qcow2"), state: filepath.Join(dir, "state")}
	mu, err := os.Create(filepath.Join(image, "mutex"))
	if err == nil {
		defer mu.Close()
		err = unix.Flock(int(mu.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		t.Fatalf("wait for the kept state: %v", err)
	}
	if _, err := os.Stat(dir); err == nil {
		return k
	}
	began := time.Now()
	m := fresh(t, image, filepath.Join(image, "disk.raw"), "raw", payload, t.TempDir())
	m.Start()
	for end := time.Now().Add(10 * time.Minute); !there(m); time.Sleep(time.Second) {
		if time.Now().After(end) {
			t.Fatalf("the machine has no greeter; its console says:\n%s", m.Console())
		}
	}
	m.Try(5*time.Minute, nil, "systemctl", "is-system-running", "--wait")
	made := m.Keep()
	old, _ := filepath.Glob(filepath.Join(image, "greeter-*"))
	for _, one := range old {
		_ = os.RemoveAll(one)
	}
	host(t, "mkdir", dir+".new")
	host(t, "mv", made.disk, made.state, dir+".new")
	host(t, "mv", dir+".new", dir)
	t.Logf("booted to the greeter and kept in %v", time.Since(began).Round(time.Second))
	return k
}

// base is the directory with the disk and the kernel, made if it is missing.
func base(t testing.TB) string {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	cmd := exec.Command(filepath.Join(filepath.Dir(file), "..", "image.sh"))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("make the machine's disk: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// identity names all that a kept state depends on, apart from the disk.
func identity(t testing.TB, helper string) string {
	t.Helper()
	program, err := os.ReadFile(helper)
	if err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprint(host(t, "qemu-system-x86_64", "--version"), hardware, sha256.Sum256(program))
	return fmt.Sprintf("%x", sha256.Sum256([]byte(all)))[:12]
}
