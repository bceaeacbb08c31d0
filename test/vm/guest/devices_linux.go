package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// last is when the kernel had the last event of a hardware device, in milliseconds since boot, and which one: the truth
// that the agent's deadlines are measured against.
var last struct {
	mu   sync.Mutex
	ms   int64
	name []byte
}

func typed() (ms int64, name []byte) {
	last.mu.Lock()
	defer last.mu.Unlock()
	return last.ms, last.name
}

func note(ms int64, name []byte) {
	last.mu.Lock()
	defer last.mu.Unlock()
	if ms > last.ms {
		last.ms, last.name = ms, name
	}
}

const (
	evKey       = 1
	evRel       = 2
	evAbs       = 3
	setClock    = 0x400445a0 // EVIOCSCLOCKID
	eventSize   = 24
	uiSetEvBit  = 0x40045564
	uiSetKeyBit = 0x40045565
	uiCreate    = 0x5501
	uiDestroy   = 0x5502
	keyF        = 33
)

// watchDevices follows every input device that is there and that comes.
func watchDevices() {
	followed := map[string]bool{}
	for ; ; time.Sleep(time.Second) {
		nodes, _ := filepath.Glob("/dev/input/event*")
		there := map[string]bool{}
		for _, node := range nodes {
			there[node] = true
			if !followed[node] && hardware(node) {
				go follow(node)
			}
		}
		followed = there
	}
}

// hardware says whether a device is one, by where it is in sysfs.
func hardware(node string) bool {
	path, err := filepath.EvalSymlinks("/sys/class/input/" + filepath.Base(node))
	return err == nil && !strings.HasPrefix(path, "/sys/devices/virtual/")
}

func follow(node string) {
	f, err := os.Open(node)
	if err != nil {
		return
	}
	defer f.Close()
	name, _ := os.ReadFile("/sys/class/input/" + filepath.Base(node) + "/device/name")
	boot := int32(unix.CLOCK_BOOTTIME)
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, f.Fd(), setClock, uintptr(unsafe.Pointer(&boot))); e != 0 {
		return
	}
	for buf := make([]byte, 64*eventSize); ; {
		n, err := f.Read(buf)
		if err != nil {
			return
		}
		for b := buf[:n]; len(b) >= eventSize; b = b[eventSize:] {
			kind, value := binary.LittleEndian.Uint16(b[16:]), binary.LittleEndian.Uint32(b[20:])
			if kind == evKey && value != 2 || kind == evRel || kind == evAbs {
				ms := int64(binary.LittleEndian.Uint64(b))*1000 + int64(binary.LittleEndian.Uint64(b[8:]))/1000
				note(ms, name)
			}
		}
	}
}

// typeVirtually makes a keyboard by uinput that claims to be a USB keyboard, and types on it for two seconds.
func typeVirtually() error {
	f, err := os.OpenFile("/dev/uinput", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, set := range [][2]uintptr{{uiSetEvBit, evKey}, {uiSetKeyBit, keyF}, {uiSetKeyBit, 30}, {uiSetKeyBit, 28}, {uiSetKeyBit, 57}} {
		if _, _, e := unix.Syscall(unix.SYS_IOCTL, f.Fd(), set[0], set[1]); e != 0 {
			return fmt.Errorf("set what the device can do: %w", e)
		}
	}
	device := make([]byte, 80+8+4+4*64*4) // struct uinput_user_dev
	copy(device, "Plain USB Keyboard")
	binary.LittleEndian.PutUint16(device[80:], 3) // BUS_USB
	binary.LittleEndian.PutUint16(device[82:], 0x46d)
	binary.LittleEndian.PutUint16(device[84:], 0xc31c)
	if _, err := f.Write(device); err != nil {
		return fmt.Errorf("describe the device: %w", err)
	}
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, f.Fd(), uiCreate, 0); e != 0 {
		return fmt.Errorf("make the device: %w", e)
	}
	time.Sleep(1500 * time.Millisecond) // whoever looks for devices has found it
	for range 10 {
		for _, value := range []int32{1, 0} {
			if _, err := f.Write(append(event(evKey, keyF, value), event(0, 0, 0)...)); err != nil {
				return fmt.Errorf("type: %w", err)
			}
		}
		time.Sleep(200 * time.Millisecond)
	}
	_, _, _ = unix.Syscall(unix.SYS_IOCTL, f.Fd(), uiDestroy, 0)
	return nil
}

func event(kind, code uint16, value int32) []byte {
	b := make([]byte, eventSize)
	binary.LittleEndian.PutUint16(b[16:], kind)
	binary.LittleEndian.PutUint16(b[18:], code)
	binary.LittleEndian.PutUint32(b[20:], uint32(value))
	return b
}
