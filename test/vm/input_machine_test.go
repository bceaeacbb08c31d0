//go:build linux && machine

package vm

import (
	"time"

	"stepaway/audit"
	"stepaway/link"
)

// How late a decision may come in a machine that shares its processors with other work, and how early it may seem.
const (
	promptly = 5 * time.Second
	rounding = 20 * time.Millisecond
)

// onTime waits for the request to lock by brisk after the last input, and checks that it came when it was due or at most so
// much later.
func (w *ward) onTime(last, most time.Duration) audit.Event {
	w.t.Helper()
	e := w.await(last, audit.LockRequested, "reason=idle", "attempt=1")
	if late := at(e) - last - limit; late < -rounding || late > most {
		w.t.Errorf("asked for a lock %v after the last input, want %v", at(e)-last, limit)
	}
	return e
}

// locked is onTime for what nothing disturbs, and waits for the proof.
func (w *ward) locked(last time.Duration) {
	w.t.Helper()
	requested := w.onTime(last, promptly)
	proved := w.proved(last)
	w.shift.mu.Lock()
	w.shift.late = append(w.shift.late, at(requested)-last-limit)
	w.shift.mu.Unlock()
	w.step("asked for a lock %v after the last input, proved %v later", at(requested)-last, at(proved)-at(requested))
}

// proved waits until a lock since then is proved and the greeter is in front. light-locker covers and grabs the screen
// first, which is proof enough, and asks lightdm for a greeter, which takes longer the slower the machine is.
func (w *ward) proved(since time.Duration) (e audit.Event) {
	w.t.Helper()
	e = w.await(since, audit.LockProved)
	if p := fact(e, "proof"); p != "greeter" && p != "locker" {
		w.t.Errorf("the lock is proved by %s", p)
	}
	w.until("the greeter in front", func() bool { s, _ := w.session(); return !s.Active && w.greeter() })
	return e
}

// onlyHardwareCounts: keys and the pointer put the deadline off, what programs make of them does not.
func (w *ward) onlyHardwareCounts() {
	s, _ := w.session()
	if s.State.Source != "evdev" || !s.Readable {
		w.t.Errorf("source %q, readable %v: %s", s.State.Source, s.Readable, s.Why)
	}
	w.step("input: %s: %s", s.State.Source, s.Why)
	w.under(slow)
	for _, in := range []struct {
		name string
		give func()
	}{
		{"a key", func() { w.Key("a") }},
		{"the pointer", func() { w.Move(300, 300); w.Move(700, 500) }},
		{"a click", func() { w.Click(640, 700) }},
	} {
		since := w.touch()
		w.phase(link.Warned)
		in.give()
		w.await(since, audit.WarningCleared)
		w.none(since, audit.LockRequested)
		w.step("%s puts it off", in.name)
	}

	w.under(brisk)
	w.must("modprobe", "uinput")
	last := w.touch()
	w.asNurse("xdotool", "key", "a", "mousemove", "400", "400", "mousemove", "800", "300", "click", "1")
	w.must("/payload/guest", "uinput") // takes about four seconds
	w.asNurse("xdotool", "key", "b", "mousemove", "500", "200")
	if now, device := w.Touched(); now != last {
		w.t.Errorf("%s gave input in between", device)
	}
	w.locked(last)
	w.none(last, audit.WarningCleared)
	seen := w.await(last, audit.InputInjected)
	w.step("xdotool and uinput put nothing off; recorded: %s %d", seen.Type, seen.Facts.Count)
	w.open()
}

// keyboardIsPlugged: the deadline follows the input of whatever keyboard there is.
func (w *ward) keyboardIsPlugged() {
	const usb = "QEMU QEMU USB Keyboard"
	w.under(slow)
	for _, step := range []struct {
		name string
		do   func()
		usb  bool
	}{
		{"the USB keyboard", func() {}, true},
		{"the built-in one, after the USB keyboard was taken out", w.Unplug, false},
		{"the USB keyboard again", w.Plug, true},
	} {
		since := w.touch()
		step.do()
		w.until("the devices", func() bool {
			_, there := w.try("grep", "-q", usb, "/proc/bus/input/devices")
			return there == step.usb
		})
		time.Sleep(2 * time.Second) // it is opened
		w.phase(link.Warned)
		w.touch()
		w.await(since, audit.WarningCleared)
		if _, device := w.Touched(); (device == usb) != step.usb {
			w.t.Errorf("%s: input came from %q", step.name, device)
		}
		w.step("%s puts the deadline off", step.name)
	}
}

// under puts a policy in force while somebody is there.
func (w *ward) under(policy string) {
	w.t.Helper()
	w.touch()
	w.rule(policy)
	w.touch()
}

// open types name and password at the greeter until the agent sees the return.
func (w *ward) open() {
	w.t.Helper()
	since := w.now()
	w.rule(calm)
	w.logIn("nurse", func() bool { s, _ := w.session(); return s.State.Phase == link.Active })
	w.await(since, audit.UnlockSeen)
	w.step("open again")
}

// logIn types a password at the greeter, with the name where it asks for one, until done.
func (w *ward) logIn(password string, done func() bool) {
	w.t.Helper()
	w.until("the desktop to open", func() bool {
		switch w.asks() {
		case "name":
			w.Type("nurse")
		case "password":
			w.Type(password)
			for range 15 {
				if time.Sleep(time.Second); done() {
					return true
				}
			}
		}
		time.Sleep(time.Second)
		return done()
	})
}
