package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"stepaway/session"
)

// host starts processes on the desktops of other sessions.
type host interface {
	// start starts a probe in a session.
	start(s session.Session) (*process, error)
	// lock has a process of the session's own user lock its desktop.
	lock(ctx context.Context, s session.Session) error
}

// process is a probe that was started.
type process struct {
	in  io.WriteCloser // what it is asked; nobody else has the other ends
	out io.ReadCloser  // what it says
	end func() string  // ends it if it lives, and tells how it ended; called once
}

// Probes keeps a probe in every session that has a desktop. It is safe for use by several goroutines.
type Probes struct {
	o       Options
	host    host
	changed chan struct{}
	running sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	followed map[string]*follower
}

func newProbes(o Options, h host) *Probes {
	return &Probes{o: o.withDefaults(), host: h, changed: make(chan struct{}, 1), followed: map[string]*follower{}}
}

// Follow makes now the set of sessions that have a probe. It does not wait: probes start and end on their own.
func (p *Probes) Follow(now []session.Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	wanted := make(map[string]bool, len(now))
	for _, s := range now {
		if !s.Kind.Graphical() || s.Closing {
			continue
		}
		wanted[s.ID] = true
		f := p.followed[s.ID]
		if f != nil && f.session.SID == s.SID && f.session.Since == s.Since {
			continue
		}
		if f != nil { // the id was given again
			f.stop()
		}
		p.followed[s.ID] = p.follow(s)
	}
	for id, f := range p.followed {
		if !wanted[id] {
			f.stop()
			delete(p.followed, id)
		}
	}
}

// Latest returns what is known of a session's input, false for a session that is not followed. It never waits.
func (p *Probes) Latest(id string) (Report, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.followed[id]
	if f == nil {
		return Report{}, false
	}
	return f.report, true
}

// Changed ticks when Latest may have something new to say. Ticks do not pile up.
func (p *Probes) Changed() <-chan struct{} { return p.changed }

// Close ends every probe, and returns when that is done.
func (p *Probes) Close() {
	p.mu.Lock()
	p.closed = true
	for id, f := range p.followed {
		f.stop()
		delete(p.followed, id)
	}
	p.mu.Unlock()
	p.running.Wait()
}

// Lock asks Windows to lock the desktop of a session, and returns when it has said that it will. That is no proof: it may say
// so and do nothing. It is asked twice at once: by the probe, and, because the documentation of LockWorkStation names a
// request "not initiated by the logged-on user" among those without effect, by a process with the user's token.
func (p *Probes) Lock(ctx context.Context, id string) error {
	results := make(chan error, 2)
	p.mu.Lock()
	f := p.followed[id]
	if f != nil { // so Close has not begun to wait
		p.running.Go(func() {
			_, err := p.ask(ctx, id, asked{Lock: true})
			results <- err
		})
		p.running.Go(func() { results <- p.host.lock(ctx, f.session) })
	}
	p.mu.Unlock()
	if f == nil {
		return fmt.Errorf("lock session %s: %w", id, ErrNoProbe)
	}
	first := <-results
	if first == nil {
		return nil
	}
	if second := <-results; second != nil {
		return fmt.Errorf("lock session %s: %w", id, errors.Join(first, second))
	}
	return nil
}

// CloseWindows asks the windows of processes to close (WM_CLOSE): those that can be seen and are no part of another. It
// returns how many were asked. The caller holds a handle of each process, so that no number is given again meanwhile.
func (p *Probes) CloseWindows(ctx context.Context, id string, pids []uint32) (asks int, err error) {
	for len(pids) > 0 {
		n := min(len(pids), maxPIDs)
		a, err := p.ask(ctx, id, asked{Close: pids[:n]})
		if asks += a.N; err != nil {
			return asks, fmt.Errorf("close windows in session %s: %w", id, err)
		}
		pids = pids[n:]
	}
	return asks, nil
}

// EmptyClipboard takes what is on the clipboard of a session away.
func (p *Probes) EmptyClipboard(ctx context.Context, id string) error {
	if _, err := p.ask(ctx, id, asked{Clipboard: true}); err != nil {
		return fmt.Errorf("empty the clipboard of session %s: %w", id, err)
	}
	return nil
}

// askFor is how long a probe may take for an answer at most.
const askFor = 5 * time.Second

// ask has the probe of a session do something.
func (p *Probes) ask(ctx context.Context, id string, a asked) (answer, error) {
	p.mu.Lock()
	var l *live
	if f := p.followed[id]; f != nil {
		l = f.live
	}
	p.mu.Unlock()
	if l == nil {
		return answer{}, ErrNoProbe
	}
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	return l.ask(ctx, a)
}

// signal makes Changed tick.
func (p *Probes) signal() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}
