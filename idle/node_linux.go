package idle

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"stepaway/quiet"

	"golang.org/x/sys/unix"
)

// hooks stand in for what a test cannot have.
type hooks struct {
	assumeHardware bool              // every display has hardware
	noRaw          bool              // no server has XInput 2.2
	ioctl          func(*node) error // in place of setDevice
}

// node is one device file, open.
type node struct {
	name     string // "event3"
	seat     string // as udev says
	injected bool   // made by a program through uinput
	reader   reader
	*quiet.File
}

// about is what sysfs says of a device, before it is opened.
type about struct {
	number   string // "13:67"
	injected bool
	counts   bool
}

// look reads what sysfs says of the device named "event3". Only the kernel writes there.
func (o *Options) look(name string) (about, error) {
	link := filepath.Join(o.SysDir, "class/input", name)
	target, err := filepath.EvalSymlinks(link)
	if err != nil {
		return about{}, fmt.Errorf("idle: finding input device %s: %w", name, err)
	}
	root, err := filepath.EvalSymlinks(o.SysDir)
	if err != nil {
		return about{}, fmt.Errorf("idle: finding input device %s: %w", name, err)
	}
	rel, err := filepath.Rel(root, target)
	if err != nil {
		return about{}, fmt.Errorf("idle: finding input device %s: %w", name, err)
	}
	var c capability
	for file, m := range map[string]*bitmap{"capabilities/key": &c.key, "capabilities/rel": &c.rel, "capabilities/abs": &c.abs, "properties": &c.prop} {
		*m = parseBitmap(firstLine(filepath.Join(target, "device", file)))
	}
	return about{
		number:   firstLine(filepath.Join(target, "dev")),
		injected: madeBySoftware(rel),
		counts:   c.touchedByPeople(),
	}, nil
}

// bluetooth is where the devices of Bluetooth LE lie, and newer BlueZ's of old Bluetooth too: bluetoothd hands the kernel
// what the radio brings, and only root may do so. 0005 is Bluetooth's bus.
const bluetooth = "devices/virtual/misc/uhid/0005:"

// madeBySoftware reports whether a device, by its path below /sys, is a program's.
func madeBySoftware(path string) bool {
	virtual := !strings.HasPrefix(path, "devices/") || strings.HasPrefix(path, "devices/virtual/")
	return virtual && !strings.HasPrefix(path, bluetooth)
}

func firstLine(path string) string {
	b, err := readSmall(path)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return line
}

func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 16<<10))
}

// seatOf returns the seat that udev put a device on. A device of which udev says nothing is on seat0.
func (o *Options) seatOf(number string) string {
	b, err := readSmall(filepath.Join(o.RunDir, "udev/data", "c"+number))
	if err != nil {
		return "seat0"
	}
	for line := range strings.Lines(string(b)) {
		if seat, ok := strings.CutPrefix(strings.TrimSpace(line), "E:ID_SEAT="); ok {
			return seat
		}
	}
	return "seat0"
}

// open opens a device for reading.
func (w *Watch) open(name string, a about) (*node, error) {
	d, err := quiet.Open(filepath.Join(w.opt.InputDir, name))
	if err != nil {
		return nil, fmt.Errorf("idle: opening input device: %w", err)
	}
	n := &node{name: name, injected: a.injected, seat: w.opt.seatOf(a.number), File: d}
	set := w.hooks.ioctl
	if set == nil {
		set = setDevice
	}
	if err := set(n); err != nil {
		d.Close()
		return nil, fmt.Errorf("idle: asking input device %s: %w", name, err)
	}
	return n, nil
}

// Requests of evdev.
const (
	eviocsClockID = 0x400445a0
	eviocgAbs     = 0x80184540
)

// setDevice makes the device count time since boot, and asks where an absolute one lies and how wide it is.
func setDevice(n *node) error {
	return n.Use(func(fd int) error {
		id := int32(unix.CLOCK_BOOTTIME)
		n.reader.wall = ioctl(uintptr(fd), eviocsClockID, unsafe.Pointer(&id)) != nil
		for axis := range n.reader.place {
			var a struct{ value, least, most, fuzz, flat, resolution int32 }
			if ioctl(uintptr(fd), eviocgAbs+uintptr(axis), unsafe.Pointer(&a)) == nil && a.most > a.least {
				n.reader.place[axis], n.reader.known[axis] = float64(a.value), true
				n.reader.least = (float64(a.most) - float64(a.least)) / 150 // some 13 pixels of a screen
			}
		}
		return nil
	})
}

func ioctl(fd, request uintptr, p unsafe.Pointer) error {
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, fd, request, uintptr(p)); e != 0 {
		return e
	}
	return nil
}
