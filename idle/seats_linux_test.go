package idle

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"stepaway/clock"
	"stepaway/session"
)

// No input device exists where tests run. These tests give the real reading code named pipes that carry struct input_event,
// and a sysfs and a udev database of their own. Only the two ioctls of setDevice are not run; they need a real device.

const (
	keyboardKeys = "402000000 3803078f800d001 feffffdfffefffff fffffffffffffffe"
	gamepadKeys  = "7fdb000000000000 0 0 0 0"
)

// machine is a machine's input devices.
type machine struct {
	t   testing.TB
	opt Options
	now map[string]*os.File // the far ends
}

func newMachine(t testing.TB) *machine {
	dir := t.TempDir()
	m := &machine{t: t, now: map[string]*os.File{}, opt: Options{Root: true, InputDir: filepath.Join(dir, "input"),
		SysDir: filepath.Join(dir, "sys"), RunDir: filepath.Join(dir, "run"), ProcDir: filepath.Join(dir, "proc")}}
	for _, d := range []string{m.opt.InputDir, filepath.Join(m.opt.SysDir, "class/input"), filepath.Join(m.opt.RunDir, "udev/data"), m.opt.ProcDir} {
		must(t, os.MkdirAll(d, 0o755))
	}
	t.Cleanup(func() {
		for _, f := range m.now {
			f.Close()
		}
	})
	return m
}

// plug adds a device below /sys/devices/<bus>.
func (m *machine) plug(number int, bus, seat, keys string) {
	m.t.Helper()
	name := fmt.Sprint("event", number)
	at := filepath.Join(m.opt.SysDir, "devices", bus, fmt.Sprint("input", number))
	must(m.t, os.MkdirAll(filepath.Join(at, name), 0o755))
	must(m.t, os.MkdirAll(filepath.Join(at, "capabilities"), 0o755))
	must(m.t, os.Symlink("..", filepath.Join(at, name, "device")))
	must(m.t, os.WriteFile(filepath.Join(at, name, "dev"), fmt.Appendf(nil, "13:%d\n", 64+number), 0o644))
	must(m.t, os.WriteFile(filepath.Join(at, "capabilities/key"), []byte(keys+"\n"), 0o644))
	must(m.t, os.Symlink(filepath.Join("../../devices", bus, fmt.Sprint("input", number), name), filepath.Join(m.opt.SysDir, "class/input", name)))
	if seat != "" {
		must(m.t, os.WriteFile(filepath.Join(m.opt.RunDir, "udev/data", fmt.Sprint("c13:", 64+number)), []byte("I:1\nE:ID_INPUT=1\nE:ID_SEAT="+seat+"\n"), 0o644))
	}
	path := filepath.Join(m.opt.InputDir, name)
	must(m.t, syscall.Mkfifo(path, 0o600))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(m.t, err)
	m.now[name] = f
}

func (m *machine) unplug(number int) {
	name := fmt.Sprint("event", number)
	must(m.t, os.Remove(filepath.Join(m.opt.InputDir, name)))
	must(m.t, os.Remove(filepath.Join(m.opt.SysDir, "class/input", name)))
	m.now[name].Close()
	delete(m.now, name)
}

// press presses a key now, and returns when.
func (m *machine) press(number int) time.Duration {
	m.t.Helper()
	at := clock.Now().Truncate(time.Microsecond)
	_, err := m.now[fmt.Sprint("event", number)].Write(join(event(at, evKey, 30, 1), event(at, evSyn, 0, 0)))
	must(m.t, err)
	return at
}

// watch follows sessions with devices whose clock is time since boot.
func (m *machine) watch(s ...session.Session) *Watch {
	w := newWatch(m.opt, hooks{ioctl: func(*node) error { return nil }})
	m.t.Cleanup(w.Close)
	w.Follow(s)
	return w
}

func on(seat, id string, active bool) session.Session {
	return session.Session{ID: id, Kind: session.Wayland, Seat: seat, Active: active}
}

func is(at time.Duration) func(Input) bool { return func(in Input) bool { return in.At == at } }

func TestInputCountsForTheSessionInFront(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.plug(1, "pci0000:00/usb1", "", keyboardKeys)
	m.plug(2, "pci0000:00/usb2", "seat1", keyboardKeys)
	w := m.watch(on("seat0", "a", true), on("seat0", "b", false), on("seat1", "c", true), on("", "d", true))
	for _, id := range []string{"a", "b", "c"} {
		until(t, w, id, "devices", readable)
	}
	if c := w.Choice("a"); c.Source != Evdev || !strings.Contains(c.Why, "evdev=1 virtual=0") {
		t.Errorf("choice %+v", c)
	}
	first := m.press(1)
	until(t, w, "a", "the key", is(first))
	second := m.press(2)
	until(t, w, "c", "the key on the second seat", is(second))
	for _, id := range []string{"b", "d"} {
		if in := latest(t, w, id); in.At != 0 {
			t.Errorf("session %s: %+v", id, in)
		}
	}
	w.Follow([]session.Session{on("seat0", "a", false), on("seat0", "b", true), on("seat1", "c", true)})
	third := m.press(1)
	until(t, w, "b", "the key after the switch", is(third))
	if in := latest(t, w, "a"); in.At != first {
		t.Errorf("the session behind: %+v", in)
	}
}

func TestInputThatAProgramMakesIsInjected(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.plug(1, "pci0000:00/usb1", "", keyboardKeys)
	m.plug(2, "virtual/input", "", keyboardKeys)
	m.plug(3, "pci0000:00/usb3", "", gamepadKeys)
	w := m.watch(on("seat0", "a", true))
	until(t, w, "a", "devices", readable)
	if c := w.Choice("a"); !strings.Contains(c.Why, "evdev=1 virtual=1") {
		t.Errorf("choice %+v", c)
	}
	at := m.press(2)
	in := until(t, w, "a", "the injected key", func(in Input) bool { return in.InjectedCount == 1 })
	if in.At != 0 || in.Injected != at {
		t.Errorf("%+v", in)
	}
	m.press(3)
	key := m.press(1)
	if in := until(t, w, "a", "the key", is(key)); in.InjectedCount != 1 {
		t.Errorf("%+v", in)
	}
}

// A Bluetooth keyboard comes in through a program too, root's bluetoothd; a device that says it is on another bus does not.
func TestBluetoothIsHardware(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.plug(1, "pci0000:00/usb1", "", keyboardKeys)
	m.plug(2, "virtual/misc/uhid/0005:046D:B342.0006/input", "", keyboardKeys)
	m.plug(3, "virtual/misc/uhid/0003:046D:B342.0007/input", "", keyboardKeys)
	w := m.watch(on("seat0", "a", true))
	until(t, w, "a", "devices", readable)
	if c := w.Choice("a"); !strings.Contains(c.Why, "evdev=2 virtual=1") {
		t.Errorf("choice %+v", c)
	}
	m.press(3)
	until(t, w, "a", "the injected key", func(in Input) bool { return in.InjectedCount == 1 && in.At == 0 })
	until(t, w, "a", "the key", is(m.press(2)))
}

func TestOnlyDevicesOfProgramsAreUnreadable(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.plug(2, "virtual/input", "", keyboardKeys)
	w := m.watch(on("seat0", "a", true))
	for !strings.Contains(w.Choice("a").Why, "virtual=1") {
		<-w.Changed()
	}
	if in := latest(t, w, "a"); in.Readable {
		t.Errorf("%+v, %+v", in, w.Choice("a"))
	}
}

// Input is told at once after a quiet second, and about a second later while it goes on, in one piece.
func TestBurstsCostOneLookASecond(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.plug(1, "pci0000:00/usb1", "", keyboardKeys)
	w := m.watch(on("seat0", "a", true))
	until(t, w, "a", "devices", readable)
	first := m.press(1)
	until(t, w, "a", "the first key", is(first))
	var last time.Duration
	looks := 0
	for range 100 {
		last = m.press(1)
		time.Sleep(10 * time.Millisecond)
		select {
		case <-w.Changed():
			looks++
		default:
		}
	}
	until(t, w, "a", "the last key", is(last))
	late := clock.Now() - last
	if looks > 3+int((last-first)/time.Second) {
		t.Errorf("%d looks in %v", looks, last-first)
	}
	if late > 5*time.Second { // a second, and what a busy machine adds
		t.Errorf("the last key was told %v late", late)
	}
}

func TestDevicesComeAndGo(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	w := m.watch(on("seat0", "a", true))
	m.plug(1, "pci0000:00/usb1", "", keyboardKeys)
	until(t, w, "a", "a keyboard", readable)
	at := m.press(1)
	until(t, w, "a", "the key", is(at))
	m.unplug(1)
	if in := until(t, w, "a", "no keyboard", notReadable); in.At != at {
		t.Errorf("%+v after the keyboard went", in)
	}
	if !w.seats.everHad("seat0") || w.seats.everHad("seat1") {
		t.Error("it is not remembered where hardware was")
	}
	m.plug(1, "pci0000:00/usb9", "", keyboardKeys)
	until(t, w, "a", "another keyboard", readable)
	again := m.press(1)
	until(t, w, "a", "its key", is(again))
}

// A lid that closes and a dock that comes and goes, with the keyboard on it, are nobody's input, and the keyboard that is
// built in goes on counting.
func TestLidAndDockChangeNothing(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.plug(1, "platform/i8042", "", keyboardKeys)
	m.plug(2, "LNXSYSTM:00/PNP0C0D:00", "", "0")                 // the lid
	m.plug(3, "LNXSYSTM:00/LNXPWRBN:00", "", "10000000000000 0") // the power key
	w := m.watch(on("seat0", "a", true))
	until(t, w, "a", "devices", readable)
	key := m.press(1)
	until(t, w, "a", "the key", is(key))
	lid := func(closed int32) {
		at := clock.Now()
		_, err := m.now["event2"].Write(join(event(at, evSwitch, 0, closed), event(at, evSyn, 0, 0)))
		must(t, err)
	}
	lid(1)
	m.plug(4, "pci0000:00/thunderbolt/usb1", "", keyboardKeys)
	for !strings.Contains(w.Choice("a").Why, "evdev=2 ") {
		<-w.Changed()
	}
	lid(0)
	m.press(3)
	m.unplug(4)
	for !strings.Contains(w.Choice("a").Why, "evdev=1 ") {
		<-w.Changed()
	}
	time.Sleep(2 * slack)
	if in := latest(t, w, "a"); in.At != key || in.InjectedCount != 0 || !in.Readable {
		t.Errorf("%+v, the last key was at %v", in, key)
	}
	again := m.press(1)
	until(t, w, "a", "the next key", is(again))
}

const evSwitch = 5

func TestCloseLeavesNoReader(t *testing.T) {
	m := newMachine(t)
	for i := range 5 {
		m.plug(i, "pci0000:00/usb1", "", keyboardKeys)
	}
	goroutines, files := runtime.NumGoroutine(), fds(t)
	w := newWatch(m.opt, hooks{ioctl: func(*node) error { return nil }})
	w.Follow([]session.Session{on("seat0", "a", true)})
	until(t, w, "a", "devices", readable)
	at := m.press(3)
	until(t, w, "a", "the key", is(at))
	w.Close()
	for range 100 { // a goroutine that has done its work is counted until it is off its stack
		if runtime.NumGoroutine() <= goroutines {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if n, f := runtime.NumGoroutine(), fds(t); n > goroutines || f > files {
		t.Errorf("%d goroutines and %d files, before %d and %d", n, f, goroutines, files)
	}
}

func TestAPipeIsOnTheWallClock(t *testing.T) { // setDevice fails on what is no device, and then times are not believed
	t.Parallel()
	m := newMachine(t)
	m.plug(1, "pci0000:00/usb1", "", keyboardKeys)
	w := newWatch(m.opt, hooks{})
	t.Cleanup(w.Close)
	w.Follow([]session.Session{on("seat0", "a", true)})
	until(t, w, "a", "devices", readable)
	before := clock.Now()
	_, err := m.now["event1"].Write(event(time.Hour*1e5, evKey, 30, 1))
	must(t, err)
	if in := until(t, w, "a", "the key", func(in Input) bool { return in.At != 0 }); in.At < before || in.At > clock.Now() {
		t.Errorf("%+v", in)
	}
}
