package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"stepaway/clock"
	"stepaway/session"
)

const (
	again     = time.Second      // after which a probe that ended is started anew, at first and at most
	againMost = 30 * time.Second // also how long one lives that is not taken for hasty
	endWithin = 5 * time.Second  // for what an ended process held open
	firstWord = 30 * time.Second // that a probe has to start on a busy machine
)

var errSilent = errors.New("silent")

// follower keeps the probe of one session. Its fields but the first three belong to Probes.mu.
type follower struct {
	p       *Probes
	session session.Session
	stop    context.CancelFunc

	report Report
	told   bool  // a probe of this session once told injected input apart
	live   *live // nil while no probe lives
}

// follow begins. p.mu is held.
func (p *Probes) follow(s session.Session) *follower {
	ctx, stop := context.WithCancel(context.Background())
	f := &follower{p: p, session: s, stop: stop, report: Report{Why: why(s, nil, "probe starts")}}
	p.running.Go(func() { f.run(ctx) })
	return f
}

// run keeps a probe alive until ctx ends.
func (f *follower) run(ctx context.Context) {
	for pause := again; ctx.Err() == nil; pause = min(2*pause, againMost) {
		began := time.Now()
		err := f.once(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > againMost {
			pause = again
		}
		f.lost(err)
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done(): // the session has ended, and took its probe along
		case <-t.C:
			f.p.o.Log.Warn("no probe; the session counts as idle since its last input", "session", f.session.ID, "error", err)
		}
		t.Stop()
	}
}

// once starts a probe and listens to it until it ends, breaks the protocol or falls silent, or ctx ends.
func (f *follower) once(ctx context.Context) error {
	proc, err := f.p.host.start(f.session)
	if err != nil {
		return fmt.Errorf("start a probe: %w", err)
	}
	l := newLive()
	l.out <- asked{Beat: f.p.o.Beat}
	l.work.Go(func() { l.speak(proc.in) })
	l.work.Go(func() { l.listen(proc.out) })
	f.alive(l)
	err = f.attend(ctx, l)
	f.alive(nil)
	close(l.gone)
	how := proc.end()
	l.finish(proc)
	return fmt.Errorf("%w (%s)", err, how)
}

// attend takes what a probe says. Beats are counted and not measured: after a machine slept, none is late.
func (f *follower) attend(ctx context.Context, l *live) error {
	beat := time.NewTicker(f.p.o.Beat)
	defer beat.Stop()
	for missed := -int(firstWord / f.p.o.Beat); ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-l.broken:
			return err
		case s := <-l.said:
			missed = 0
			if err := f.take(l, s); err != nil {
				return err
			}
		case <-beat.C:
			if missed++; missed > patience {
				return errSilent
			}
		}
	}
}

// take believes a probe what it saw, but nothing of the future, and not less than was once told.
func (f *follower) take(l *live, s said) error {
	now := clock.Now()
	f.p.mu.Lock()
	defer f.p.mu.Unlock()
	if s.Count < l.count {
		return fmt.Errorf("%w: a count that falls", errFrame)
	}
	was, r := f.report, &f.report
	f.told = f.told || s.Raw
	if s.Raw || !f.told {
		r.At = max(r.At, min(s.At, now))
	}
	r.Injected = max(r.Injected, min(s.Injected, now))
	r.InjectedCount += s.Count - l.count
	r.Readable = (s.Raw || !f.told) && !s.Blind
	r.Why = why(f.session, &s, reason(s, f.told))
	l.count = s.Count
	if *r != was {
		f.p.signal()
	}
	return nil
}

// lost notes that no probe sees the session now.
func (f *follower) lost(err error) {
	f.p.mu.Lock()
	defer f.p.mu.Unlock()
	f.report.Readable = false
	f.report.Why = why(f.session, nil, err.Error())
	f.p.signal()
}

func (f *follower) alive(l *live) {
	f.p.mu.Lock()
	defer f.p.mu.Unlock()
	f.live = l
}

// reason says in words what a reader of the log could not see from the facts.
func reason(s said, told bool) string {
	switch {
	case s.Blind:
		return "there is input that raw input does not show; unreadable"
	case !s.Raw && told:
		return "raw input is gone; unreadable, because injected input could be told apart before"
	case !s.Raw:
		return "raw input is missing; injected input cannot be told apart and counts"
	case s.Lenient:
		return "no device of this remote desktop is known; what has none counts"
	}
	return ""
}

// why is one line about where the input of a session is seen. s is nil without a probe.
func why(s session.Session, seen *said, because string) string {
	line := fmt.Sprintf("idle: [kind=%s session=%s ", s.Kind, s.ID)
	if seen == nil {
		line += "ret=none]"
	} else {
		line += fmt.Sprintf("remote=%s raw=%s devices=%d ret=probe]", yes(seen.Remote), yes(seen.Raw), seen.Devices)
	}
	if because != "" {
		line += " " + because
	}
	return line
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// live is the talk with one probe while it lives.
type live struct {
	out    chan asked
	said   chan said
	broken chan error
	gone   chan struct{} // closed when it is over
	work   sync.WaitGroup
	count  uint64 // its last count of injected input; Probes.mu

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]chan answer
}

func newLive() *live {
	return &live{out: make(chan asked, 16), said: make(chan said), broken: make(chan error, 2), gone: make(chan struct{}), waiting: map[uint64]chan answer{}}
}

// ask has the probe do something, and waits for its answer.
func (l *live) ask(ctx context.Context, a asked) (answer, error) {
	back := make(chan answer, 1)
	l.mu.Lock()
	l.next++
	a.ID = l.next
	l.waiting[a.ID] = back
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.waiting, a.ID)
		l.mu.Unlock()
	}()
	select {
	case l.out <- a:
	case <-l.gone:
		return answer{}, ErrNoProbe
	case <-ctx.Done():
		return answer{}, fmt.Errorf("probe: %w", ctx.Err())
	}
	select {
	case got := <-back:
		if !got.OK {
			return got, fmt.Errorf("%w, error %d", ErrRefused, got.Errno)
		}
		return got, nil
	case <-l.gone:
		return answer{}, ErrNoProbe
	case <-ctx.Done():
		return answer{}, fmt.Errorf("probe: %w", ctx.Err())
	}
}

// speak writes what is asked.
func (l *live) speak(w io.Writer) {
	for {
		select {
		case <-l.gone:
			return
		case a := <-l.out:
			if err := writeFrame(w, a); err != nil {
				l.broken <- fmt.Errorf("ask: %w", err)
				return
			}
		}
	}
}

// listen reads what is said, from a peer that is checked.
func (l *live) listen(r io.Reader) {
	for {
		h, err := readHeard(r)
		if err != nil {
			l.broken <- fmt.Errorf("listen: %w", err)
			return
		}
		if h.Answer != nil {
			l.answered(*h.Answer)
			continue
		}
		select {
		case l.said <- *h.Said:
		case <-l.gone:
			return
		}
	}
}

// answered gives an answer to whoever waits for it. Nobody may.
func (l *live) answered(a answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if back := l.waiting[a.ID]; back != nil {
		delete(l.waiting, a.ID)
		back <- a
	}
}

// finish waits for the two that talk, whose pipes broke when the process ended. A process that cannot be ended keeps them.
func (l *live) finish(proc *process) {
	done := make(chan struct{})
	go func() {
		l.work.Wait()
		proc.in.Close()
		proc.out.Close()
		close(done)
	}()
	t := time.NewTimer(endWithin)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}
