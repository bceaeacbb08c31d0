package link

import (
	"sync"

	"stepaway/audit"
)

// OutboxSize is how many events wait at most for the courier.
const OutboxSize = 4096

// Outbox keeps the enforcer's events until the courier has them on disk. Add never waits. When it is full
// the oldest event that is not critical goes, be it the new one, or the oldest of all when every one is critical;
// its number stays missing, so the loss can be seen. Safe for concurrent use.
type Outbox struct {
	Run string // set before first use

	mu      sync.Mutex
	next    uint64
	waiting []audit.Event
	dropped uint64
	more    chan struct{}
}

// NewOutbox starts the numbering of a run at 1.
func NewOutbox(run string) *Outbox { return &Outbox{Run: run, more: make(chan struct{})} }

// Add numbers an event and keeps it.
func (o *Outbox) Add(e audit.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.next++
	e.Run, e.N = o.Run, o.next
	o.waiting = append(o.waiting, e)
	if len(o.waiting) > OutboxSize {
		o.drop()
	}
	close(o.more)
	o.more = make(chan struct{})
}

func (o *Outbox) drop() {
	at := 0
	for i, e := range o.waiting {
		if !audit.Critical(e.Type) {
			at = i
			break
		}
	}
	o.waiting = append(o.waiting[:at], o.waiting[at+1:]...)
	o.dropped++
}

// After gives up to most events with a number above n, in order, and a channel that closes when there is more.
func (o *Outbox) After(n uint64, most int) ([]audit.Event, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []audit.Event
	for _, e := range o.waiting {
		if e.N > n && len(out) < most {
			out = append(out, e)
		}
	}
	return out, o.more
}

// Stored forgets the events of a run up to n. Another run's word and numbers never given are ignored.
func (o *Outbox) Stored(s Stored) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s.Run != o.Run || s.N > o.next {
		return
	}
	for len(o.waiting) > 0 && o.waiting[0].N <= s.N {
		o.waiting = o.waiting[1:]
	}
}

// Counts gives the last number, how many events wait and how many were dropped.
func (o *Outbox) Counts() (last uint64, waiting int, dropped uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.next, len(o.waiting), o.dropped
}
