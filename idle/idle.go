// Package idle tells when a person last touched a device of a session.
//
// Failure rules: an idle time that cannot be read is never zero. Where a source cannot be read, Input says so by
// Readable, and keeps the last input that was believed; no error ever makes an input look newer. What is not known
// to be a person's is counted as injected, and does not move At. At never moves back and is never in the future.
//
// What moves At: a key that goes down or up, a button, a wheel, a touch, a pen; a pointer that moves at least ten
// pixels from where it lay. What does not: the repeat of a held key, smaller moves, gamepads, accelerometers, lid
// and power switches, and input that a program made. Which key it was is never looked at. An input is told by Latest
// at once if the second before it was quiet, else within about a second, so a moving mouse costs one wake-up
// a second, and an untouched one none.
//
// How far a source can be trusted differs. evdev is read from the kernel by a process that the user does not own.
// X11 is the word of the display's server; where that runs as the user (a virtual display, a rootless Xorg), he can
// replace it. So is Notifier, and Mutter, that of a Wayland compositor, which runs as the user, and into which his programs
// may type; a seat that has devices, or had, is never seen by them. What a terminal was read is the kernel's word, but its owner has ways to have it read: a program can ask a
// terminal for an answer, which comes as if typed. Choice tells which source it was.
package idle

import "time"

// Input is what is known of the input to one session.
type Input struct {
	At            time.Duration // boot time of the last believed input, 0 if none was seen yet
	Injected      time.Duration // boot time of the last input that was seen but not believed, 0 if none
	InjectedCount uint64        // how many times such input was noticed, at most once a second for each device
	Readable      bool          // whether input would be seen now; At may be old without this being false
}

// sighting is input that a source saw at one look.
type sighting struct {
	believed time.Duration // boot time of the last, 0 if none
	injected time.Duration
}

// add takes a sighting in. Neither time moves back.
func (in *Input) add(s sighting, now time.Duration) {
	in.At = max(in.At, min(s.believed, now))
	if s.injected != 0 {
		in.Injected = max(in.Injected, min(s.injected, now))
		in.InjectedCount++
	}
}
