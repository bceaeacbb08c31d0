package idle

import (
	"log/slog"
	"sync"
	"time"

	"stepaway/session"
)

// Options says where to look. The zero value of a directory means the system's own.
type Options struct {
	Root      bool   // may read input devices, and the cookies of every user
	Display   string // with Root false: the display of the one session there is, from its own environment
	Authority string // with Root false: the file with that display's cookie
	InputDir  string // /dev/input
	DevDir    string // /dev
	SysDir    string // /sys
	RunDir    string // /run
	ProcDir   string // /proc
	Log       *slog.Logger
}

func (o Options) withDefaults() Options {
	for field, dir := range map[*string]string{&o.InputDir: "/dev/input", &o.DevDir: "/dev", &o.SysDir: "/sys", &o.RunDir: "/run", &o.ProcDir: "/proc"} {
		if *field == "" {
			*field = dir
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// lull is how long a source leaves input in the kernel's buffer after it has told of some.
const lull = time.Second

// tremble is how long it leaves there what was no believed input: short, because a person's first key may come right
// behind it, and must be told before a deadline that is close.
const tremble = 50 * time.Millisecond

// rest is how long a source may leave input in the kernel's buffer after it told of input, or of nothing.
func rest(told bool) time.Duration {
	if told {
		return lull
	}
	return tremble
}

// Watch follows the input of a set of sessions. It is safe for use by several goroutines.
type Watch struct {
	opt     Options
	hooks   hooks
	changed chan struct{}
	running sync.WaitGroup
	seats   *seats // nil without Root

	mu       sync.Mutex
	closed   bool
	followed map[string]*follower
}

// NewWatch returns a Watch that follows no session yet. Close it.
func NewWatch(o Options) *Watch { return newWatch(o, hooks{}) }

func newWatch(o Options, h hooks) *Watch {
	w := &Watch{opt: o.withDefaults(), hooks: h, changed: make(chan struct{}, 1), followed: map[string]*follower{}}
	if w.opt.Root {
		w.seats = watchSeats(w)
	}
	return w
}

// Follow makes now the set of sessions that is watched. It does not wait: sources start and stop on their own.
func (w *Watch) Follow(now []session.Session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	seen := make(map[string]bool, len(now))
	for _, s := range now {
		seen[s.ID] = true
		if f := w.followed[s.ID]; f != nil {
			f.update(s)
		} else {
			w.followed[s.ID] = w.follow(s)
		}
	}
	for id, f := range w.followed {
		if !seen[id] {
			f.stop()
			delete(w.followed, id)
		}
	}
}

// Latest returns what is known of a session's input, false for a session that is not followed. It never waits.
func (w *Watch) Latest(id string) (Input, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.followed[id]
	if f == nil {
		return Input{}, false
	}
	if f.choice.Source == TTY {
		f.readTerminal()
	}
	return f.input, true
}

// Changed ticks when Latest or Choice may have something new to say. Ticks do not pile up. Terminals make none:
// ask Latest.
func (w *Watch) Changed() <-chan struct{} { return w.changed }

// Choice returns where the input of a session is seen, and why there.
func (w *Watch) Choice(id string) Choice {
	w.mu.Lock()
	defer w.mu.Unlock()
	if f := w.followed[id]; f != nil {
		return f.choice
	}
	return Choice{Source: None, Why: "idle: [ret=none not followed]"}
}

// Close stops every source, and returns when their goroutines have ended.
func (w *Watch) Close() {
	w.mu.Lock()
	w.closed = true
	for id, f := range w.followed {
		f.stop()
		delete(w.followed, id)
	}
	w.mu.Unlock()
	if w.seats != nil {
		w.seats.close()
	}
	w.running.Wait()
}

// signal makes Changed tick.
func (w *Watch) signal() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// credit counts input on a seat for the session that is in front there.
func (w *Watch) credit(seat string, seen sighting) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.followed {
		if f.session.Seat == seat && f.session.Active {
			f.see(seen)
		}
	}
	w.signal()
}

func (s sighting) empty() bool { return s == sighting{} }
