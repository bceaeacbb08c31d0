package idle

import (
	"sync"

	"stepaway/session"
)

// Watch follows the input of a set of sessions. On this system it sees none yet, and says so: nothing is readable.
type Watch struct {
	changed chan struct{}

	mu       sync.Mutex
	followed map[string]bool
}

// NewWatch returns a Watch that follows no session yet.
func NewWatch(Options) *Watch { return &Watch{changed: make(chan struct{}, 1)} }

// Follow makes now the set of sessions that is watched.
func (w *Watch) Follow(now []session.Session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.followed = map[string]bool{}
	for _, s := range now {
		w.followed[s.ID] = true
	}
}

// Latest returns what is known of a session's input, false for a session that is not followed.
func (w *Watch) Latest(id string) (Input, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return Input{}, w.followed[id]
}

// Changed never ticks.
func (w *Watch) Changed() <-chan struct{} { return w.changed }

// Choice returns where the input of a session is seen, and why there.
func (w *Watch) Choice(string) Choice {
	return Choice{Source: None, Why: "idle: [ret=none] not on this system yet"}
}

// Close does nothing.
func (w *Watch) Close() {}
