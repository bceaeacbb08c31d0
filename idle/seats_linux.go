package idle

import (
	"context"
	"os"
	"strings"
	"sync"
	"time"

	"stepaway/clock"
)

// seats reads every input device of the machine, and follows those that come and go.
type seats struct {
	w    *Watch
	ctx  context.Context
	stop context.CancelFunc
	poke chan struct{} // cap 1: look at the directory again
	deaf bool          // no news of the directory: it is looked at when a source is chosen

	mu    sync.Mutex
	nodes map[string]*node
	had   map[string]bool // seats on which hardware was seen since the start
	wrong map[string]bool // devices that could not be read, of which the log knows
}

// watchSeats begins to read. What is there at the start is open when it returns.
func watchSeats(w *Watch) *seats {
	s := &seats{w: w, poke: make(chan struct{}, 1), nodes: map[string]*node{}, had: map[string]bool{}, wrong: map[string]bool{}}
	s.ctx, s.stop = context.WithCancel(context.Background())
	dir := s.watchDirectory()
	s.deaf = dir == nil
	s.scan()
	w.running.Go(func() { s.follow(dir) })
	return s
}

// close ends every goroutine of s. A reader of a device ends when its file is closed.
func (s *seats) close() {
	s.stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.nodes {
		n.Close()
	}
}

// count tells how many devices of a seat can be read.
func (s *seats) count(seat string) (hardware, virtual int) {
	if s.deaf {
		s.scan()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.nodes {
		switch {
		case n.seat != seat:
		case n.injected:
			virtual++
		default:
			hardware++
		}
	}
	return hardware, virtual
}

// everHad tells whether a seat has had hardware since the start.
func (s *seats) everHad(seat string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.had[seat]
}

// again makes the directory be looked at.
func (s *seats) again() {
	select {
	case s.poke <- struct{}{}:
	default:
	}
}

// follow looks at the directory whenever something changed there. A change is looked at once more a second later, when
// udev has written down what it makes of the device.
func (s *seats) follow(dir *os.File) {
	if dir != nil {
		s.w.running.Go(func() { s.readDirectory(dir) })
		defer dir.Close()
	}
	var later <-chan time.Time
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.poke:
			later = time.After(time.Second)
		case <-later:
			later = nil
		}
		if s.scan() {
			s.w.chooseAgain()
		}
	}
}

// scan opens devices that are new and closes those that are gone. It tells whether anything changed.
func (s *seats) scan() (changed bool) {
	listed := s.list()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return false
	}
	for name, n := range s.nodes {
		if !listed[name] {
			n.Close() // its reader takes it off the list
		}
	}
	for name := range listed {
		if n := s.nodes[name]; n != nil {
			changed = s.reseat(n) || changed
		} else {
			changed = s.add(name) || changed
		}
	}
	return changed
}

func (s *seats) list() map[string]bool {
	listed := map[string]bool{}
	d, err := os.Open(s.w.opt.InputDir)
	if err != nil {
		return listed
	}
	defer d.Close()
	names, _ := d.Readdirnames(4096)
	for _, name := range names {
		if strings.HasPrefix(name, "event") {
			listed[name] = true
		}
	}
	return listed
}

// add opens a device that a person touches and begins to read it. s.mu is held.
func (s *seats) add(name string) bool {
	a, err := s.w.opt.look(name)
	if err == nil && !a.counts {
		return false
	}
	var n *node
	if err == nil {
		n, err = s.w.open(name, a)
	}
	if err != nil {
		if !s.wrong[name] {
			s.w.opt.Log.Warn("idle: an input device cannot be read", "device", name, "error", err)
			s.wrong[name] = true
		}
		return false
	}
	delete(s.wrong, name)
	s.nodes[name] = n
	s.had[n.seat] = s.had[n.seat] || !n.injected
	s.w.running.Go(func() { s.read(n) })
	return true
}

// reseat asks udev again where a device belongs. s.mu is held.
func (s *seats) reseat(n *node) bool {
	a, err := s.w.opt.look(n.name)
	if err != nil {
		return false
	}
	seat := s.w.opt.seatOf(a.number)
	if seat == n.seat {
		return false
	}
	n.seat = seat
	s.had[seat] = s.had[seat] || !n.injected
	return true
}

// read reads a device until it goes away: it waits for input, tells of it at once, and then looks once a second until a
// second was quiet.
func (s *seats) read(n *node) {
	defer s.drop(n)
	buf := make([]byte, 64*eventSize)
	for n.Wait() == nil {
		at, more, err := s.drain(n, buf)
		for ; more && err == nil; at, more, err = s.drain(n, buf) {
			if !sleep(s.ctx, rest(at != 0)) {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// drain takes what has arrived and tells of the last input in it. It reports that, and whether anything had arrived.
func (s *seats) drain(n *node, buf []byte) (last time.Duration, more bool, err error) {
	for total := 0; total < drainMost*eventSize; {
		var got int
		if got, err = n.Arrived(buf); err != nil || got == 0 {
			break
		}
		total, more = total+got, true
		last = max(last, n.reader.feed(buf[:got], clock.Now()))
	}
	s.tell(n, last)
	return last, more, err
}

func (s *seats) tell(n *node, at time.Duration) {
	if at == 0 {
		return
	}
	s.mu.Lock()
	seat := n.seat
	s.mu.Unlock()
	if n.injected {
		s.w.credit(seat, sighting{injected: at})
	} else {
		s.w.credit(seat, sighting{believed: at})
	}
}

// drop takes a device that is gone off the list.
func (s *seats) drop(n *node) {
	n.Close()
	s.mu.Lock()
	delete(s.nodes, n.name)
	s.mu.Unlock()
	if s.ctx.Err() == nil {
		s.w.chooseAgain()
		s.again() // another may have taken its name
	}
}
