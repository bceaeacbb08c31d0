package idle

import (
	"sync"

	"stepaway/probe"
	"stepaway/session"
)

// Probe is the source on this system: a process in each session tells what it sees of that session's input.
const Probe = "probe"

// Probes are what sees the input of the desktops. They stay their maker's to close.
type Probes interface {
	Follow([]session.Session)
	Latest(id string) (probe.Report, bool)
	Changed() <-chan struct{}
}

// Options says who sees.
type Options struct{ Probes Probes }

// Watch follows the input of a set of sessions. It is safe for use by several goroutines.
type Watch struct {
	probes Probes

	mu       sync.Mutex
	followed map[string]session.Session
}

// NewWatch returns a Watch that follows no session yet.
func NewWatch(o Options) *Watch { return &Watch{probes: o.Probes} }

// Follow makes now the set of sessions that is watched. It does not wait.
func (w *Watch) Follow(now []session.Session) {
	w.mu.Lock()
	w.followed = make(map[string]session.Session, len(now))
	for _, s := range now {
		w.followed[s.ID] = s
	}
	w.mu.Unlock()
	w.probes.Follow(now)
}

// Latest returns what is known of a session's input, false for a session that is not followed. Before a session that is
// disconnected or switched away nobody can sit: what its probe sees from then on is nobody's. It never waits.
func (w *Watch) Latest(id string) (Input, bool) {
	s, known := w.of(id)
	if !known {
		return Input{}, false
	}
	r, _ := w.probes.Latest(id)
	in := Input{At: r.At, Injected: r.Injected, InjectedCount: r.InjectedCount, Readable: r.Readable}
	if s.Left != 0 {
		in.At, in.Readable = min(in.At, s.Left), true
	}
	return in, true
}

// Changed ticks when Latest or Choice may have something new to say. Ticks do not pile up.
func (w *Watch) Changed() <-chan struct{} { return w.probes.Changed() }

// Choice returns where the input of a session is seen, and why there.
func (w *Watch) Choice(id string) Choice {
	s, known := w.of(id)
	if !known {
		return Choice{Source: None, Why: "idle: [ret=none not followed]"}
	}
	r, _ := w.probes.Latest(id)
	c := Choice{Source: Probe, Why: r.Why}
	if !r.Readable {
		c.Source = None
	}
	if s.Left != 0 {
		c = Choice{Source: Probe, Why: r.Why + " nobody can sit before it"}
	}
	return c
}

// Close does nothing: the probes are closed by who made them.
func (w *Watch) Close() {}

func (w *Watch) of(id string) (session.Session, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, known := w.followed[id]
	return s, known
}
