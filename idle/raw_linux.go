package idle

import (
	"context"
	"errors"
	"time"

	"stepaway/clock"
	"stepaway/still"
	"stepaway/x11"
)

// watchDisplay sees the input of a display until its server goes away or the facts change. It owns d.
func (f *follower) watchDisplay(ctx context.Context, d *display, facts Facts) {
	why := Choose(facts).Why
	ctx, cancel := f.untilPoked(ctx) // a poke ends the wait for input
	defer cancel()
	defer d.close()
	r, err := f.listenRaw(ctx, d)
	if err == nil {
		f.choose(Choice{X11, why + " " + r.classes.String()}, true)
		err = r.watch(ctx)
	} else if k, second := f.listenCounter(d); second == nil {
		f.choose(Choice{X11, why + " xi2: " + err.Error() + "; idle counter, injected input counts"}, true)
		err = k.watch(ctx)
	}
	if ctx.Err() == nil {
		facts.Cookie, facts.Why = false, "lost: "+err.Error()
		f.choose(Choose(facts), false)
	}
}

// raw follows the raw events of a display.
type raw struct {
	f        *follower
	conn     *x11.Conn
	classes  classes
	stale    bool // the devices have changed
	pointers map[uint16]*pointer
	clock    serverClock
	warps    warps
	seen     sighting
}

// drainMost bounds the events taken at one look, so that a server that never stops talking is heard once a second too.
const drainMost = 50_000

func (f *follower) listenRaw(ctx context.Context, d *display) (*raw, error) {
	r := &raw{f: f, conn: d.conn, pointers: map[uint16]*pointer{}}
	if f.w.hooks.noRaw {
		return nil, errors.New("x11: not asked for")
	}
	if err := r.conn.InitInput2(); err != nil {
		return nil, err
	}
	if err := r.conn.SelectRawInput(); err != nil {
		return nil, err
	}
	if err := r.conn.Sync(); err != nil {
		return nil, err
	}
	r.classes.assume = f.assumeHardware()
	if err := r.refresh(); err != nil {
		return nil, err
	}
	if r.classes.virtual() {
		if err := r.warps.find(r.conn); err != nil {
			return nil, err
		}
	}
	r.clock.find(r.conn)
	return r, r.clock.set(r.conn, false)
}

// assumeHardware is true where a person sits at real devices, whatever the display lists: on a seat that has, or once
// had, such devices. Unplugging the keyboard must not make injected input count.
func (f *follower) assumeHardware() bool {
	return f.w.hooks.assumeHardware || f.w.seats != nil && f.w.seats.everHad(f.snapshot().Seat)
}

// refresh lists the devices anew. Where hardware was seen once, it stays assumed.
func (r *raw) refresh() error {
	list, err := r.conn.Devices()
	if err != nil {
		return err
	}
	r.classes = classify(list, r.classes.assume || r.classes.hardware > 0)
	r.stale = false
	return nil
}

// watch waits for input, tells of it at once, and then looks once a second until a second was quiet.
// What is no believed input holds it up for a moment only.
func (r *raw) watch(ctx context.Context) error {
	for {
		if err := r.settle(ctx); err != nil {
			return err
		}
		e, err := r.conn.Next(ctx)
		if err != nil {
			return err
		}
		if err := r.clock.set(r.conn, false); err != nil {
			return err
		}
		if err := r.take(e); err != nil {
			return err
		}
		if _, err := r.warped(); err != nil {
			return err
		}
	}
}

// settle tells of what was seen, and goes on with what comes until there was a rest.
func (r *raw) settle(ctx context.Context) error {
	for more := true; more; {
		if !sleep(ctx, rest(r.tell())) {
			return ctx.Err()
		}
		if err := r.clock.set(r.conn, true); err != nil {
			return err
		}
		n, err := r.drain()
		if err != nil {
			return err
		}
		warped, err := r.warped()
		if err != nil {
			return err
		}
		more = n > 0 || warped
	}
	return nil
}

// warped looks for a pointer that was put elsewhere. It counts only while there is no hardware.
func (r *raw) warped() (bool, error) {
	if !r.classes.virtual() {
		return false, nil
	}
	at, err := r.warps.look()
	r.seen.believed = max(r.seen.believed, at)
	return at != 0, err
}

// tell passes on what was seen, and reports whether a person was.
func (r *raw) tell() (believed bool) {
	believed = r.seen.believed != 0
	r.f.tell(r.seen)
	r.seen = sighting{}
	return believed
}

// drain takes what has arrived, and says how many events that were.
func (r *raw) drain() (n int, err error) {
	for ; n < drainMost; n++ {
		e, ok, err := r.conn.Pending()
		if err != nil || !ok {
			return n, err
		}
		if err := r.take(e); err != nil {
			return n, err
		}
	}
	return n, nil
}

func (r *raw) take(e x11.Event) error {
	if r.conn.DevicesChanged(e) {
		r.stale = true
		return nil
	}
	x, ok := r.conn.RawEvent(e)
	if !ok {
		return nil
	}
	if r.stale {
		if err := r.refresh(); err != nil {
			return err
		}
	}
	at := r.clock.boot(x.Time)
	if x.Repeat || x.Kind == x11.RawMotion && !r.moved(x, at) {
		return nil
	}
	if r.classes.believes(x.Source) {
		r.seen.believed = max(r.seen.believed, at)
	} else {
		r.seen.injected = max(r.seen.injected, at)
	}
	return nil
}

// pointer is a device's place, and how far it was moved.
type pointer struct {
	still.Pointer
	at    [2]float64
	known [2]bool
}

func (r *raw) moved(x x11.RawEvent, at time.Duration) bool {
	p := r.pointers[x.Source]
	if p == nil {
		if len(r.pointers) > 256 { // more than a display has: the server invents them
			clear(r.pointers)
		}
		p = &pointer{}
		r.pointers[x.Source] = p
	}
	shape := r.classes.devices[x.Source]
	var way [2]float64
	for i := range way {
		if x.Moved[i] {
			way[i] = p.way(i, x.Axis[i], shape.Absolute[i])
		}
	}
	return p.Move(way[0], way[1], max(still.Nudge, shape.Span[0]*spanPart(shape)), at)
}

// spanPart is the part of an absolute device's surface that counts as a move: some 13 pixels of a screen.
func spanPart(d x11.Device) float64 {
	if d.Absolute[0] {
		return 1. / 150
	}
	return 0
}

// way turns the value of an axis into how far it went. The first place of an absolute device is where it lies.
func (p *pointer) way(axis int, value float64, absolute bool) float64 {
	if !absolute {
		return value
	}
	from, known := p.at[axis], p.known[axis]
	p.at[axis], p.known[axis] = value, true
	if !known {
		return 0
	}
	return value - from
}

// serverClock converts the server's times, in ms that stand still while the machine sleeps, to boot time.
type serverClock struct {
	counter uint32 // 0 if the server does not show its clock: then input counts from when it was heard of
	server  uint32 // its time
	at      time.Duration
	offset  time.Duration
}

// find looks for the server's clock. One without is no error.
func (k *serverClock) find(c *x11.Conn) {
	if list, err := c.Counters(); err == nil {
		k.counter = list[x11.CounterTime]
	}
}

// set reads both clocks. within is true when less than a few seconds have passed since: if the machine slept meanwhile,
// what is about to be read was done before it slept, and is dated so.
func (k *serverClock) set(c *x11.Conn, within bool) error {
	k.at = clock.Now()
	if k.counter == 0 {
		return nil
	}
	var ms int64
	var at, best time.Duration
	for try := range 3 { // an answer that took long says little of when it was given
		before := clock.Now()
		v, err := c.QueryCounter(k.counter)
		if err != nil {
			return err
		}
		took := clock.Now() - before
		if try == 0 || took < best {
			ms, at, best = v, before+took/2, took
		}
		if best < 5*time.Millisecond {
			break
		}
	}
	k.keep(ms, at, within)
	return nil
}

func (k *serverClock) keep(ms int64, at time.Duration, within bool) {
	offset := at - time.Duration(ms)*time.Millisecond
	slept := offset - k.offset
	k.server, k.at, k.offset = uint32(ms), at, offset
	if within && slept > 100*time.Millisecond {
		k.at -= slept
	}
}

// boot converts the time of an event. It is never zero.
func (k *serverClock) boot(event uint32) time.Duration {
	if k.counter == 0 {
		return k.at
	}
	age := int32(k.server - event) // wraps every 49.7 days
	return max(k.at-time.Duration(age)*time.Millisecond, 1)
}

// sleep waits d, and tells whether ctx is still on.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
