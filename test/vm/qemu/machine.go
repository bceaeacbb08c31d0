//go:build linux

// Package qemu gives tests a whole machine: a Debian with its own kernel, lightdm and XFCE in QEMU, whose keyboard and
// pointer are hardware to it. Only tests import it.
//
// Failure rules: what is missing fails the test with "run `test/deps.sh machine`"; nothing is skipped. The machine ends with
// the test process, however that ends. It has no network but its own loopback.
package qemu

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"stepaway/test/rig"
	"stepaway/test/vm/wire"
)

// Width and Height of the screen.
const (
	Width  = 1280
	Height = 800
)

// Machine is one computer with its disk. The users nurse (group clinicians) and doctor have their names as passwords.
type Machine struct {
	T     testing.TB // the test that it fails
	dir   string
	image string
	shots string
	taken int

	cmd     *exec.Cmd
	monitor *monitor
	port    *port
	serial  string
}

// New makes a machine with a fresh disk, and payload as the read-only /payload in it. It is off. Pictures are kept in shots.
func New(t testing.TB, payload, shots string) *Machine {
	t.Helper()
	m := &Machine{T: t, dir: t.TempDir(), image: disk(t), shots: shots}
	m.host("cp", "--sparse=always", filepath.Join(m.image, "disk.raw"), filepath.Join(m.dir, "disk.raw"))
	m.host("truncate", "-s", "512M", filepath.Join(m.dir, "payload.raw"))
	m.host("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", payload, filepath.Join(m.dir, "payload.raw"))
	return m
}

// disk is the directory with the image, made if it is missing.
func disk(t testing.TB) string {
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

// host runs a program of this machine.
func (m *Machine) host(name string, args ...string) {
	m.T.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		m.T.Fatalf("%s is not installed: run `test/deps.sh machine`", name)
	}
	if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		m.T.Fatalf("%s: %v: %s", name, err, out)
	}
}

// Start switches the machine on and waits until programs can be run in it; a desktop comes later.
func (m *Machine) Start() {
	m.T.Helper()
	path, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		m.T.Fatal("qemu-system-x86_64 is not installed: run `test/deps.sh machine`")
	}
	in := func(name string) string { return filepath.Join(m.dir, name) }
	for _, socket := range []string{"qmp", "port"} {
		_ = os.Remove(in(socket))
	}
	m.serial = in("serial.log")
	m.cmd = exec.Command(path, "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "2048", "-M", "q35,smm=off",
		"-nodefaults", "-no-user-config", "-display", "none", "-rtc", "base=utc",
		"-kernel", filepath.Join(m.image, "vmlinuz"), "-initrd", filepath.Join(m.image, "initrd"),
		"-append", "root=/dev/vda rw console=ttyS0 net.ifnames=0 quiet loglevel=3 mitigations=off",
		"-drive", "file="+in("disk.raw")+",if=virtio,format=raw,cache=unsafe",
		"-drive", "file="+in("payload.raw")+",if=virtio,format=raw,readonly=on",
		"-device", fmt.Sprintf("VGA,vgamem_mb=32,xres=%d,yres=%d", Width, Height),
		"-device", "qemu-xhci,id=usb", "-device", "usb-kbd,bus=usb.0,id=keyboard", "-device", "usb-tablet,bus=usb.0,id=pointer",
		"-device", "virtio-rng-pci", "-device", "virtio-serial-pci",
		"-chardev", "socket,id=port,server=on,wait=off,path="+in("port"), "-device", "virtserialport,chardev=port,name="+wire.Port,
		"-serial", "file:"+m.serial, "-qmp", "unix:"+in("qmp")+",server=on,wait=off")
	var said bytes.Buffer
	m.cmd.Stdout, m.cmd.Stderr = &said, &said
	rig.Start(m.T, m.cmd)
	if m.monitor, err = openMonitor(in("qmp")); err == nil {
		m.port, err = openPort(in("port"))
	}
	if err != nil {
		m.T.Fatalf("start the machine: %v: %s", err, said.String())
	}
	select {
	case <-m.port.up:
	case <-m.monitor.gone:
		m.T.Fatalf("the machine ended: %s", said.String())
	case <-time.After(3 * time.Minute):
		m.T.Fatalf("the machine does not come up; its console says:\n%s", m.Console())
	}
}

// Pull takes the power away: nothing in the machine or in QEMU gets to write anything more.
func (m *Machine) Pull() {
	m.T.Helper()
	if err := m.cmd.Process.Kill(); err != nil {
		m.T.Fatalf("pull the power: %v", err)
	}
	<-m.monitor.gone
}

// Console is the end of what the kernel and the system wrote to the serial port.
func (m *Machine) Console() string {
	b, _ := os.ReadFile(m.serial)
	return string(b[max(0, len(b)-4000):])
}

// Try runs a program in the machine as root. It fails the test only if the machine does not answer.
func (m *Machine) Try(limit time.Duration, input []byte, args ...string) wire.Answer {
	m.T.Helper()
	a, err := m.port.ask(wire.Request{Args: args, Input: input}, limit)
	if err != nil {
		m.T.Fatalf("%s: %v; the console says:\n%s", strings.Join(args, " "), err, m.Console())
	}
	return a
}

// Touched is when the kernel of the machine had the last event of a hardware device, since its boot, and which one.
func (m *Machine) Touched() (since time.Duration, device string) {
	m.T.Helper()
	a, err := m.port.ask(wire.Request{Typing: true}, time.Second)
	if err != nil {
		m.T.Fatalf("ask for the last input: %v", err)
	}
	return time.Duration(a.Last) * time.Millisecond, strings.TrimSpace(string(a.Out))
}

// Heard says how often QEMU told of an event, such as SUSPEND or WAKEUP.
func (m *Machine) Heard(event string) int { return m.monitor.heard(event) }

// Shot takes a picture of the screen and keeps it, numbered, under a name.
func (m *Machine) Shot(name string) image.Image {
	m.T.Helper()
	m.taken++
	path := filepath.Join(m.shots, fmt.Sprintf("%02d-%s.png", m.taken, name))
	m.do("screendump", map[string]any{"filename": path, "format": "png"})
	b, err := os.ReadFile(path)
	if err != nil {
		m.T.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		m.T.Fatalf("read the picture %s: %v", path, err)
	}
	return img
}

// Look is Shot for a picture that is not kept.
func (m *Machine) Look() image.Image {
	m.T.Helper()
	shots, taken := m.shots, m.taken
	defer func() { m.shots, m.taken = shots, taken }()
	m.shots = m.dir
	return m.Shot("look")
}

func (m *Machine) do(command string, arguments any) {
	m.T.Helper()
	if err := m.monitor.do(command, arguments); err != nil {
		m.T.Fatalf("QEMU: %v", err)
	}
}
