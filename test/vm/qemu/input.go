//go:build linux

package qemu

import (
	"strings"
	"time"
)

// Key presses keys of the keyboard and lets them go, each named as QEMU names it; "shift-a" is a at once with shift.
func (m *Machine) Key(keys ...string) {
	m.T.Helper()
	for _, chord := range keys {
		names := strings.Split(chord, "-")
		for _, name := range names {
			m.send(key(name, true))
		}
		time.Sleep(40 * time.Millisecond)
		for i := len(names) - 1; i >= 0; i-- {
			m.send(key(names[i], false))
		}
		time.Sleep(60 * time.Millisecond)
	}
}

// Type types lower-case letters and then Return.
func (m *Machine) Type(line string) {
	m.T.Helper()
	m.Key(strings.Split(line, "")...)
	m.Key("ret")
}

// Move puts the pointer somewhere.
func (m *Machine) Move(x, y int) {
	m.T.Helper()
	m.send(axis("x", x*32767/Width), axis("y", y*32767/Height))
	time.Sleep(60 * time.Millisecond)
}

// Click presses the left button somewhere.
func (m *Machine) Click(x, y int) {
	m.T.Helper()
	m.Move(x, y)
	for _, down := range []bool{true, false} {
		m.send(map[string]any{"type": "btn", "data": map[string]any{"down": down, "button": "left"}})
		time.Sleep(80 * time.Millisecond)
	}
}

// Unplug takes the USB keyboard out; keys then come from the one that is built in, until it is plugged in again.
func (m *Machine) Unplug() { m.T.Helper(); m.do("device_del", map[string]any{"id": "keyboard"}) }

// Plug puts the USB keyboard in again.
func (m *Machine) Plug() {
	m.T.Helper()
	m.do("device_add", map[string]any{"driver": "usb-kbd", "bus": "usb.0", "id": "keyboard"})
}

// Press presses the power button of a machine that sleeps.
func (m *Machine) Press() { m.T.Helper(); m.do("system_wakeup", nil) }

func (m *Machine) send(events ...map[string]any) {
	m.T.Helper()
	m.do("input-send-event", map[string]any{"events": events})
}

func key(name string, down bool) map[string]any {
	return map[string]any{"type": "key", "data": map[string]any{"down": down, "key": map[string]any{"type": "qcode", "data": name}}}
}

func axis(name string, value int) map[string]any {
	return map[string]any{"type": "abs", "data": map[string]any{"axis": name, "value": value}}
}
