package idle

import (
	"context"
	"time"

	"stepaway/clock"
	"stepaway/session"
)

// Between attempts at a display that cannot be asked.
const (
	retryFirst = time.Second
	retryMost  = 30 * time.Second
)

// follower watches one session on a goroutine of its own. Fields below the line are guarded by Watch.mu.
type follower struct {
	w    *Watch
	id   string
	stop context.CancelFunc
	poke chan struct{} // cap 1: choose again

	session  session.Session
	choice   Choice
	input    Input
	terminal terminal
}

// chooseAgain makes every follower look at the facts anew, because the devices of a seat changed.
func (w *Watch) chooseAgain() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.followed {
		f.again()
	}
}

// follow starts to watch a session. Watch.mu is held.
func (w *Watch) follow(s session.Session) *follower {
	ctx, cancel := context.WithCancel(context.Background())
	f := &follower{w: w, id: s.ID, stop: cancel, poke: make(chan struct{}, 1), session: s}
	f.choice = Choice{Source: None, Why: "idle: [ret=none not looked at yet]"}
	w.running.Go(func() { f.run(ctx) })
	return f
}

// update takes a new snapshot of the session in. Watch.mu is held.
func (f *follower) update(s session.Session) {
	was := f.session
	f.session = s
	if was.Kind != s.Kind || was.Seat != s.Seat || was.Display != s.Display || was.TTY != s.TTY || was.Leader != s.Leader || was.UID != s.UID {
		f.again()
	}
}

// again makes the follower choose its source anew.
func (f *follower) again() {
	select {
	case f.poke <- struct{}{}:
	default:
	}
}

// see takes a sighting in. Watch.mu is held.
func (f *follower) see(s sighting) { f.input.add(s, clock.Now()) }

// run chooses a source and stays with it until that fails, the facts change or the session is no longer followed.
func (f *follower) run(ctx context.Context) {
	for wait := retryFirst; ctx.Err() == nil; {
		facts, found := f.gather(ctx)
		choice := Choose(facts)
		begin := clock.Now()
		switch choice.Source {
		case X11:
			f.watchDisplay(ctx, found.display, facts)
		case Notifier, Mutter:
			f.watchWitness(ctx, found.witness, facts)
		default:
			found.close()
			f.choose(choice, choice.Source == Evdev)
			f.await(ctx, retry(facts, choice, &wait))
			continue
		}
		if clock.Now()-begin > retryMost {
			wait = retryFirst
		}
		f.await(ctx, retry(facts, choice, &wait))
	}
}

// retry says how long to stay with a source that is not the best there could be; 0 is until something changes.
func retry(facts Facts, choice Choice, wait *time.Duration) time.Duration {
	if choice.Source == Evdev || facts.Kind == session.SSH || facts.Kind == session.TTY && choice.Source == TTY {
		return 0
	}
	now := *wait
	*wait = min(2*now, retryMost)
	return now
}

// await waits until ctx ends, the facts may have changed, or d has passed; 0 is no limit.
func (f *follower) await(ctx context.Context, d time.Duration) {
	var after <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		after = t.C
	}
	select {
	case <-ctx.Done():
	case <-f.poke:
	case <-after:
	}
}

// choose makes a choice known, and whether input would now be seen.
func (f *follower) choose(c Choice, readable bool) {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	if f.choice != c {
		f.w.opt.Log.Info(c.Why, "session", f.id)
	}
	if f.choice != c || f.input.Readable != readable {
		f.choice, f.input.Readable = c, readable
		f.w.signal()
	}
}

// tell makes a sighting known.
func (f *follower) tell(s sighting) {
	if s.empty() {
		return
	}
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	f.see(s)
	f.w.signal()
}

// snapshot returns the session as last told.
func (f *follower) snapshot() session.Session {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	return f.session
}

// found is what input can be seen at, if it is there.
type found struct {
	display *display
	witness witness
}

func (n found) close() {
	n.display.close()
	if n.witness != nil {
		n.witness.close()
	}
}

// gather finds the facts, and connects to the display or the compositor if it may come to that.
func (f *follower) gather(ctx context.Context) (Facts, found) {
	s := f.snapshot()
	facts := Facts{Root: f.w.opt.Root, Kind: s.Kind, Seat: s.Seat, Terminal: terminalReadable(f.w.opt.DevDir, s.TTY)}
	if f.w.seats != nil && s.Seat != "" {
		facts.Hardware, facts.Virtual = f.w.seats.count(s.Seat)
		facts.Had = f.w.seats.everHad(s.Seat)
	}
	switch {
	case facts.source() == Evdev || s.Kind == session.SSH || s.Kind == session.Wayland && facts.Had:
		return facts, found{}
	case s.Kind == session.Wayland:
		return facts, found{witness: f.findWitness(ctx, s, &facts)}
	}
	d, err := f.findDisplay(ctx, s)
	if d != nil {
		facts.Display = d.name
	}
	if err != nil {
		facts.Why = err.Error()
		d.close()
		return facts, found{}
	}
	facts.Cookie = d != nil
	return facts, found{display: d}
}
