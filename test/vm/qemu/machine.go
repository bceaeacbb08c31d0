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
	"os"
	"os/exec"
	"path/filepath"
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
	T       testing.TB // the test that it fails
	owner   testing.TB // the test that it ends with
	dir     string
	image   string // of the kernel and the disk that every machine begins with
	payload string
	shots   string
	taken   int

	cmd     *exec.Cmd
	said    *bytes.Buffer
	monitor *monitor
	port    *port
}

// in is the path of one of the machine's files.
func (m *Machine) in(name string) string { return filepath.Join(m.dir, name) }

// Payload makes a disk that machines have as the read-only /payload: the directory must hold the program of ./guest.
func Payload(t testing.TB, dir string) string {
	t.Helper()
	disk := filepath.Join(t.TempDir(), "payload.raw")
	host(t, "truncate", "-s", "512M", disk) // always as much, because a machine that is woken does not ask again
	host(t, "mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", dir, disk)
	return disk
}

// fresh is a machine that is off, with a disk that begins as another.
func fresh(t testing.TB, image, disk, format, payload, shots string) *Machine {
	t.Helper()
	m := &Machine{T: t, owner: t, dir: t.TempDir(), image: image, payload: payload, shots: shots}
	host(t, "qemu-img", "create", "-q", "-f", "qcow2", "-b", disk, "-F", format, m.in("disk.qcow2"))
	return m
}

// host runs a program of this machine.
func host(t testing.TB, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed: run `test/deps.sh machine`", name)
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
	return string(out)
}

// hardware is what every machine is made of. A state that was kept is of no use to any other.
var hardware = []string{"-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1280", "-M", "q35,smm=off",
	"-nodefaults", "-no-user-config", "-display", "none", "-rtc", "base=utc",
	"-append", "root=/dev/vda rw console=ttyS0 net.ifnames=0 quiet loglevel=3 mitigations=off",
	"-device", fmt.Sprintf("VGA,vgamem_mb=32,xres=%d,yres=%d", Width, Height),
	"-device", "qemu-xhci,id=usb", "-device", "usb-kbd,bus=usb.0,id=keyboard", "-device", "usb-tablet,bus=usb.0,id=pointer",
	"-device", "virtio-rng-pci", "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=port,name=" + wire.Port}

// Start switches the machine on and waits until programs can be run in it; a desktop comes later.
func (m *Machine) Start() { m.T.Helper(); m.run() }

// run starts QEMU and waits until the helper in the machine answers.
func (m *Machine) run(more ...string) {
	m.T.Helper()
	path, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		m.T.Fatal("qemu-system-x86_64 is not installed: run `test/deps.sh machine`")
	}
	for _, socket := range []string{"qmp", "port"} {
		_ = os.Remove(m.in(socket))
	}
	m.cmd = exec.Command(path, append([]string{
		"-kernel", filepath.Join(m.image, "vmlinuz"), "-initrd", filepath.Join(m.image, "initrd"),
		"-drive", "file=" + m.in("disk.qcow2") + ",if=virtio,format=qcow2,cache=unsafe",
		"-drive", "file=" + m.payload + ",if=virtio,format=raw,readonly=on",
		"-chardev", "socket,id=port,server=on,wait=off,path=" + m.in("port"),
		"-serial", "file:" + m.in("console"), "-qmp", "unix:" + m.in("qmp") + ",server=on,wait=off"}, append(hardware, more...)...)...)
	m.said = &bytes.Buffer{}
	m.cmd.Stdout, m.cmd.Stderr = m.said, m.said
	rig.Start(m.owner, m.cmd)
	if m.monitor, err = openMonitor(m.in("qmp")); err == nil {
		m.port, err = openPort(m.in("port"))
	}
	if err != nil {
		m.T.Fatalf("start the machine: %v: %s", err, m.said.String())
	}
	m.answers()
	m.must("mount", "-t", "ext4", "-o", "ro", "/dev/vdb", "/payload")
}

// answers waits until the helper in the machine does.
func (m *Machine) answers() {
	m.T.Helper()
	for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); {
		select {
		case <-m.monitor.gone:
			m.T.Fatalf("the machine ended: %s", m.said.String())
		default:
		}
		if _, err := m.port.ask(wire.Request{Typing: true}, 2*time.Second); err == nil {
			return
		}
	}
	m.T.Fatalf("the machine does not come up; its console says:\n%s", m.Console())
}

// must runs a program in the machine.
func (m *Machine) must(args ...string) {
	m.T.Helper()
	if a := m.Try(5*time.Minute, nil, args...); a.Code != 0 {
		m.T.Fatalf("%s: status %d: %s%s", strings.Join(args, " "), a.Code, a.Out, a.Err)
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
	b, _ := os.ReadFile(m.in("console"))
	return string(b[max(0, len(b)-4000):])
}

// Try runs a program in the machine as root. It fails the test only if the machine does not answer.
func (m *Machine) Try(limit time.Duration, input []byte, args ...string) wire.Answer {
	m.T.Helper()
	a, err := m.port.ask(wire.Request{Args: args, Input: input, Limit: limit.Milliseconds()}, limit+time.Minute)
	if err != nil {
		m.T.Fatalf("%s: %v; the console says:\n%s", strings.Join(args, " "), err, m.Console())
	}
	return a
}

// Begin is Try beside the test. Where the machine does not answer, Err says so and Code is -1.
func (m *Machine) Begin(limit time.Duration, args ...string) <-chan wire.Answer {
	said := make(chan wire.Answer, 1)
	go func() {
		a, err := m.port.ask(wire.Request{Args: args, Limit: limit.Milliseconds()}, limit+time.Minute)
		if err != nil {
			a = wire.Answer{Err: err.Error(), Code: -1}
		}
		said <- a
	}()
	return said
}

// Touched is when the kernel of the machine had the last event of a hardware device, since its boot, and which one.
func (m *Machine) Touched() (since time.Duration, device string) {
	m.T.Helper()
	a, err := m.port.ask(wire.Request{Typing: true}, 2*time.Minute)
	if err != nil {
		m.T.Fatalf("ask for the last input: %v", err)
	}
	return time.Duration(a.Last) * time.Millisecond, strings.TrimSpace(string(a.Out))
}

// Heard says how often QEMU told of an event, such as SUSPEND or WAKEUP.
func (m *Machine) Heard(event string) int { return m.monitor.heard(event) }

func (m *Machine) do(command string, arguments any) {
	m.T.Helper()
	if err := m.monitor.do(command, arguments, nil); err != nil {
		m.T.Fatalf("QEMU: %v", err)
	}
}
