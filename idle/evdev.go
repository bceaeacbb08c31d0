package idle

import (
	"encoding/binary"
	"time"

	"stepaway/still"
)

// Types and codes of struct input_event, named as the kernel names them.
const (
	evSyn, evKey, evRel, evAbs = 0, 1, 2, 3

	synDropped    = 3
	relX, relY    = 0, 1
	relWheel      = 8
	relHWheel     = 6
	relWheelHiRes = 11
	relHWheelHi   = 12
	absX, absY    = 0, 1
	absTracking   = 0x39

	eventSize = 24 // on every 64-bit Linux
)

// reader turns a device's events into when a person last touched it.
type reader struct {
	still.Pointer
	place  [2]float64 // of an absolute device
	known  [2]bool
	least  float64 // how far is moved; still.Nudge if zero
	wall   bool    // the device's clock is not time since boot: what is read counts as of now
	way    [2]float64
	torn   [eventSize]byte // a beginning of an event; the kernel gives none
	tornBy int
}

// feed reads whole events and returns the boot time of the last that was input, 0 if none was. now is the boot time at
// which they were read.
func (r *reader) feed(b []byte, now time.Duration) (last time.Duration) {
	for len(b) > 0 {
		n := copy(r.torn[r.tornBy:], b)
		b, r.tornBy = b[n:], r.tornBy+n
		if r.tornBy < eventSize {
			break
		}
		r.tornBy = 0
		if at := r.event(r.torn[:], now); at != 0 {
			last = max(last, at)
		}
	}
	return last
}

func (r *reader) event(e []byte, now time.Duration) time.Duration {
	at := r.stamp(int64(binary.LittleEndian.Uint64(e)), int64(binary.LittleEndian.Uint64(e[8:])), now)
	kind, code, value := binary.LittleEndian.Uint16(e[16:]), binary.LittleEndian.Uint16(e[18:]), int32(binary.LittleEndian.Uint32(e[20:]))
	if r.counts(kind, code, value, at) {
		return at
	}
	return 0
}

// stamp makes a boot time, never zero and never after now, of an event's.
func (r *reader) stamp(sec, usec int64, now time.Duration) time.Duration {
	const century = 100 * 365 * 24 * 3600
	if r.wall || sec < 0 || sec > century || usec < 0 || usec >= 1e6 {
		return max(now, 1)
	}
	return max(min(time.Duration(sec)*time.Second+time.Duration(usec)*time.Microsecond, now), 1)
}

// counts tells whether an event is a person's doing. For keys only what became of it is looked at, not which it was.
func (r *reader) counts(kind, code uint16, value int32, at time.Duration) bool {
	switch kind {
	case evKey:
		const repeat = 2
		return value != repeat
	case evRel:
		switch code {
		case relX, relY:
			r.way[code] += float64(value)
		case relWheel, relHWheel, relWheelHiRes, relHWheelHi:
			return true
		}
	case evAbs:
		switch code {
		case absX, absY:
			r.lie(code, float64(value))
		case absTracking: // a finger comes or goes
			return true
		}
	case evSyn:
		if code == synDropped { // more came than the kernel kept
			return true
		}
		dx, dy := r.way[0], r.way[1]
		r.way = [2]float64{}
		return (dx != 0 || dy != 0) && r.Move(dx, dy, max(r.least, still.Nudge), at)
	}
	return false
}

// lie notes a place. The first one is where the pointer lies, and no move.
func (r *reader) lie(axis uint16, value float64) {
	if r.known[axis] {
		r.way[axis] += value - r.place[axis]
	}
	r.place[axis], r.known[axis] = value, true
}
