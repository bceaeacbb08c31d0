package probe

import (
	"time"

	"stepaway/still"
)

// kind is what an event of raw input is about.
type kind uint8

const (
	key     kind = iota // of a keyboard; barcode scanners and badge readers are keyboards
	mouse               // of a pointer
	contact             // of a touchpad, a touch screen or a pen
)

// event is one event of raw input, without what was typed or touched.
type event struct {
	kind     kind
	device   uint64 // 0: made by a program, or a precision touchpad's as a mouse
	at       time.Duration
	up       bool  // key: released
	pressed  bool  // mouse: a button went down or up, or the wheel turned
	absolute bool  // mouse: x and y are a place in 65536ths of the screen, not a way
	x, y     int32 // mouse
}

const (
	wide      = 340                    // of 65536: still.Nudge pixels of a screen 1920 wide
	lifted    = 500 * time.Millisecond // without a report: the finger or pen was away
	nearTouch = time.Second            // in which a mouse without a device is the touchpad's
	longTouch = 30 * time.Second       // for which a finger moves without being lifted; longer, something lies there
	countOnce = time.Second            // injected input is noticed this often at most
	blindFor  = 12                     // looks in a row at input of which raw input showed nothing: two minutes of beats
)

// judge decides which input is a person's.
//
// A key counts when it goes up, and when it goes down unless another went down just before on the same keyboard: a held key
// repeats that, and which key it is is not looked at. So a weight on a key counts once. A pointer counts as package still
// says. A touch counts when it begins, because a finger that rests goes on reporting.
//
// Raw input names the device of an event. It names none where a program made it (SendInput), and, by the documentation of
// RAWINPUTHEADER, for the mouse that a precision touchpad acts as; the reports of the touchpad itself have its name, and come with
// it. On a desktop shown elsewhere it is not documented which it is. So there, until a device is named, what has none counts:
// without it nobody could work there.
type judge struct {
	devices map[uint64]*device
	named   bool // since the desktop came to where it is shown now, a device was named
	remote  bool
	began   time.Duration // last touch: its first report
	touched time.Duration // and its last
	seen    time.Duration // last event of any kind

	at       time.Duration
	injected time.Duration
	count    uint64
}

// device is what is remembered of one. 0 has one of these too.
type device struct {
	rest    still.Pointer
	down    bool // keyboard: the last event was a key going down
	placed  bool // pointer: x and y are known
	x, y    int32
	contact time.Duration // last report
}

// maxDevices bounds what is remembered: who plugs in one after another begins anew.
const maxDevices = 256

// shown says whether the desktop is shown elsewhere. Where that changes, the devices are others.
func (j *judge) shown(remote bool) {
	if remote != j.remote {
		j.remote, j.named = remote, false
	}
}

// lenient reports whether input without a device counts.
func (j *judge) lenient() bool { return j.remote && !j.named }

// take takes an event in, and tells whether it was believed.
func (j *judge) take(e event) bool {
	j.seen = max(j.seen, e.at)
	if e.device != 0 {
		j.named = true
	}
	d := j.device(e.device)
	acted := d.acted(e)
	if e.kind == contact && e.device != 0 {
		j.touched = max(j.touched, e.at)
		if acted {
			j.began = e.at
		}
	}
	switch {
	case !acted:
		return false
	case e.device != 0, j.lenient(), j.ofTouchpad(e):
		j.at = max(j.at, e.at)
		return true
	}
	j.notice(e.at)
	return false
}

// ofTouchpad reports whether a mouse without a device is that of a touchpad, by its reports.
func (j *judge) ofTouchpad(e event) bool {
	return e.kind == mouse && j.touched != 0 && e.at-j.touched <= nearTouch && e.at-j.began <= longTouch
}

// notice counts input that is not believed.
func (j *judge) notice(at time.Duration) {
	if j.count == 0 || at-j.injected >= countOnce {
		j.count++
		j.injected = max(j.injected, at)
	}
}

func (j *judge) device(id uint64) *device {
	if j.devices == nil || len(j.devices) > maxDevices {
		j.devices = map[uint64]*device{}
	}
	d := j.devices[id]
	if d == nil {
		d = &device{}
		j.devices[id] = d
	}
	return d
}

// acted reports whether an event is more than a held key, a resting finger or a bumped table.
func (d *device) acted(e event) bool {
	switch e.kind {
	case key:
		repeated := d.down && !e.up
		d.down = !e.up
		return !repeated
	case contact:
		gone := d.contact == 0 || e.at-d.contact > lifted
		d.contact = e.at
		return gone
	}
	return d.moved(e) || e.pressed
}

// moved takes the way or the place of a pointer in.
func (d *device) moved(e event) bool {
	if !e.absolute {
		return (e.x != 0 || e.y != 0) && d.rest.Move(float64(e.x), float64(e.y), still.Nudge, e.at)
	}
	was, x, y := d.placed, d.x, d.y
	d.placed, d.x, d.y = true, e.x, e.y
	return was && d.rest.Move(float64(e.x)-float64(x), float64(e.y)-float64(y), wide, e.at)
}

// hardware counts the devices that were named.
func (j *judge) hardware() int {
	n := len(j.devices)
	if _, nameless := j.devices[0]; nameless {
		n--
	}
	return n
}

// gap looks whether there is input that raw input does not show. On another desktop of the session, as that of the logon
// screen, there may be.
type gap struct {
	any, seen time.Duration
	looks     int
}

// look takes when the last input was, of whatever origin, and the last event of raw input, and tells whether the latter is blind.
func (g *gap) look(any, seen time.Duration, elsewhere bool) bool {
	switch {
	case elsewhere || seen > g.seen:
		g.looks = 0
	case any > g.any && any > seen:
		g.looks++
	}
	g.any, g.seen = any, seen
	return g.looks >= blindFor
}
