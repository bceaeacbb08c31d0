// Package enforce is the loop that holds every session to its deadline: facts in, decisions out.
//
// Failure rules: the loop never waits for a disk, a network, a bus, a display or a peer; whatever may take
// time runs beside it and answers through its inbox. An idle time that cannot be read counts from the last
// known input. A snapshot that fails leaves the sessions known before. A lock that nobody proves is tried
// again and again, and said to have failed. Nothing that a peer says moves a deadline later.
package enforce

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"stepaway/audit"
	"stepaway/deadline"
	"stepaway/link"
	"stepaway/policy"
	"stepaway/scm"
	"stepaway/session"
)

// Instant is a time since boot that counts sleep.
type Instant = deadline.Instant

// Clock tells the times that the loop needs.
type Clock interface {
	Now() Instant            // since boot, sleep counted
	Asleep() time.Duration   // how much of it the machine slept
	Wall() (time.Time, bool) // wall clock, for records only, and whether it is kept in step
}

// Timer wakes the loop at an instant.
type Timer interface {
	Set(at Instant)
	C() <-chan struct{}
}

// Sessions tells who is logged on. Changed is only a hint.
type Sessions interface {
	Snapshot(ctx context.Context) ([]session.Session, error)
	Changed() <-chan struct{}
}

// Input is when a session's user last touched a device.
type Input struct {
	At            Instant // last believed input, 0 if none was seen
	InjectedCount uint64  // input that was seen and not believed
	Readable      bool
}

// Inputs tells when a person last touched a device of a session. No method may block.
type Inputs interface {
	Follow([]session.Session)
	Latest(id string) (Input, bool)
	Changed() <-chan struct{}
	Choice(id string) (source, why string)
}

// Goal is what the ladder shall reach.
type Goal string

const (
	GoalLock       Goal = "lock"
	GoalDisconnect Goal = "disconnect" // the session is put behind the greeter; where there is none, locked
	GoalSignOut    Goal = "sign-out"
)

// Want is one order to the ladder.
type Want struct {
	Goal      Goal
	Proof     policy.Proof // least that counts
	Fallback  []string
	Terminate bool
}

// Step is one rung that was tried.
type Step struct {
	Rung  string
	Proof policy.Proof
	Code  string // why the rung did not do, or ""
}

// Unavailable is the code of a rung that there is not on this machine, or for this session. Nothing was tried, and nothing is
// recorded.
const Unavailable = "unavailable"

// ClientStep tells of one EHR client.
type ClientStep struct {
	Client string
	Type   audit.Type // client.close, client.closed, client.ended, client.cleared, client.failed
	Count  int
	Code   string // "busy" if a busy file has put it off; of what was cleared or failed: what; or ""
}

// Release says how a proved lock ended.
type Release string

const (
	ReleaseOpened  Release = "opened"  // the locker said itself that the password was right
	ReleaseKilled  Release = "killed"  // the locker did not end by itself
	ReleaseUnknown Release = "unknown" // it is gone; nobody saw how
	ReleaseEnded   Release = "ended"   // the session is gone
)

// Ladder secures sessions. Its methods run on goroutines of their own, end with ctx and never hang.
type Ladder interface {
	Secure(ctx context.Context, s session.Session, w Want, report func(Step)) policy.Proof
	Look(ctx context.Context, s session.Session) policy.Proof
	Hold(ctx context.Context, s session.Session) <-chan Release
	CloseClients(ctx context.Context, s session.Session, cs []policy.Client, report func(ClientStep)) (left int)
	Nudge() // something changed: whoever holds a lock looks again now; never blocks
}

// PolicyNews is the outcome of looking at the policy's sources.
type PolicyNews struct {
	Loaded policy.Loaded
	Before *policy.Policy // what was in force before this run, if known; only for the first news
	Code   string         // enumerated word for why the sources were not taken, "" if they were

	Waiting          []policy.Relaxation // what is weaker in a policy that waits for its approval
	Also             []policy.Relaxation // what became weaker beside the settings
	Author, Approver string              // who answer for a weaker policy, "" if nobody had to
}

// Options are the parts that the loop is made of. All but the noted ones must be set.
type Options struct {
	Clock    Clock
	Timer    Timer
	Sessions Sessions
	Inputs   Inputs
	Ladder   Ladder
	Outbox   *link.Outbox
	Policy   PolicyNews                                                   // in force at the start
	Policies <-chan PolicyNews                                            // changes; may be nil
	Sleeps   <-chan Sleep                                                 // what the power manager says; may be nil
	Saved    Saved                                                        // what the run before left
	Save     func(Saved)                                                  // must not block
	Publish  func(link.Status)                                            // what root may know, once a minute at most; may be nil, must not block
	Warn     func(s session.Session, left time.Duration, a policy.Action) // a line on a terminal; must not block
	Tray     Trays                                                        // may be nil: no tray is started and none is missed
	TrayIn   time.Duration                                                // a tray has this long to appear by itself before one is started
	Courier  func(link.Peer) bool
	Version  string
	Boot     string   // boot id
	Promise  []string // what this agent cannot promise here
	Log      *slog.Logger

	Alive       func(within time.Duration) // the loop's sign of life, and how soon the next will come; may be nil
	AliveWithin time.Duration              // how soon one must come while a decision is near, 0 never
}

// Trays starts the icon in a session and knows it from an impostor. Start must not block.
type Trays interface {
	Start(s session.Session, old int32)
	Genuine(p link.Peer) bool
	Running(p link.Peer) bool // neither ended nor stopped; asked on the loop, must not block
}

// Saved is what must survive a restart of the enforcer within one boot.
type Saved struct {
	Boot     string             `json:"boot"`
	Run      string             `json:"run"`
	LastN    uint64             `json:"last_n"`
	Clean    bool               `json:"clean"`    // the run ended by itself
	Sessions map[string]Instant `json:"sessions"` // last believed input, nanoseconds since boot
}

// Enforcer is the loop. Its fields but the marked ones belong to the goroutine of Run.
type Enforcer struct {
	o       Options
	inbox   chan func()
	closed  chan struct{} // the loop has ended
	guards  map[string]*guard
	loaded  policy.Loaded
	hash    string
	courier *link.Courier
	slept   time.Duration
	drift   time.Duration // wall clock minus boot time
	totals  totals        // counted of what was recorded
	told    Instant       // when the status was last published
	saved   Instant       // when the last input was saved
	dirty   bool
	news    bool    // since the status was published
	beat    Instant // when the next sign of life is due
	owed    Instant // and by when it was promised
	ready   func()  // lets the machine sleep, nil unless it is about to
	sleepBy Instant // when it may at the latest
	work    sync.WaitGroup

	mu    sync.Mutex                 // guards known
	known map[string]session.Session // for the link's goroutines
}

// snapshotEvery is how often the sessions are read without a hint, and how long one reading may take.
const (
	snapshotEvery  = 5 * time.Minute
	snapshotWithin = 5 * time.Second
	settling       = 5 * time.Minute // a new session's X server or terminal has this long to be found
)

// New makes the loop. Run starts it.
func New(o Options) *Enforcer {
	return &Enforcer{o: o, inbox: make(chan func(), 64), closed: make(chan struct{}), guards: map[string]*guard{}, known: map[string]session.Session{}}
}

// Run enforces until ctx ends, then waits for what it started.
func (e *Enforcer) Run(ctx context.Context) {
	defer close(e.closed)
	e.begin()
	e.work.Go(func() { e.readSessions(ctx) })
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-e.o.Timer.C():
		case <-e.o.Inputs.Changed():
		case f := <-e.inbox:
			f()
		case news, open := <-e.o.Policies:
			if !open {
				e.o.Policies = nil
				continue
			}
			e.takePolicy(news)
		case s, open := <-e.o.Sleeps:
			if !open {
				e.o.Sleeps = nil
				continue
			}
			e.takeSleep(s)
		}
		e.step(ctx)
	}
	e.end(context.Cause(ctx))
}

// post runs f on the loop. It waits only while the inbox is full, and not beyond ctx
// or the loop's end.
func (e *Enforcer) post(ctx context.Context, f func()) {
	select {
	case e.inbox <- f:
	case <-ctx.Done():
	case <-e.closed:
	}
}

func (e *Enforcer) begin() {
	e.slept, e.drift = e.o.Clock.Asleep(), e.wallDrift()
	e.record(audit.Event{Type: audit.AgentStart})
	if before := e.o.Saved; before.Boot == e.o.Boot && before.Run != "" && !before.Clean {
		e.record(audit.Event{Type: audit.AgentRecovered, Facts: &audit.Facts{Ref: audit.Label(before.Run), To: before.LastN}})
	}
	news := e.o.Policy
	e.loaded, e.hash = news.Loaded, news.Loaded.Policy.Hash()
	if news.Before != nil {
		e.recordRelaxed(news, news.Before)
	}
	e.recordPolicy(news)
	e.save(false)
}

func (e *Enforcer) end(cause error) {
	e.awake()
	for _, g := range e.guards {
		g.release()
	}
	e.work.Wait()
	stop := audit.Event{Type: audit.AgentStop}
	if errors.Is(cause, scm.ErrShutdown) {
		stop.Facts = &audit.Facts{Code: "shutdown"}
	}
	e.record(stop)
	e.save(true)
}

// readSessions keeps the loop's picture of who is logged on.
func (e *Enforcer) readSessions(ctx context.Context) {
	failed := ""
	var hurry hurry
	for ctx.Err() == nil {
		hurry.wait(ctx, e.o.Clock.Now())
		one, cancel := context.WithTimeout(ctx, snapshotWithin)
		ss, err := e.o.Sessions.Snapshot(one)
		cancel()
		if err == nil {
			failed = ""
			e.post(ctx, func() { e.adopt(ctx, ss) })
		} else if err.Error() != failed && ctx.Err() == nil {
			failed = err.Error()
			e.o.Log.Error("sessions unreadable; those known stay enforced", "error", err)
		}
		e.waitForSessions(ctx, err != nil || e.unsettled(ss))
	}
}

// hurry lets a burst of changes through at once, and what goes on a few times a second: a session can make its logind
// properties change as fast as it likes, and every change costs a look at all sessions.
type hurry struct {
	last Instant
	n    int
}

const (
	burst  = 20
	spaced = 250 * time.Millisecond
)

func (h *hurry) wait(ctx context.Context, now Instant) {
	if now-h.last < spaced {
		h.n++
	} else {
		h.n = 0
	}
	h.last = now
	if h.n < burst {
		return
	}
	h.last += spaced
	t := time.NewTimer(spaced)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// unsettled reports whether a new session's X server or terminal is not known yet. Both may come after the logon, and
// nobody tells when they do; without them nothing can be locked or proved, or there seems to be nobody to step away.
func (e *Enforcer) unsettled(ss []session.Session) bool {
	now := e.o.Clock.Now()
	return slices.ContainsFunc(ss, func(s session.Session) bool {
		bare := s.Kind == session.X11 && s.Display == "" || !s.Attended()
		return bare && now-s.Since < settling
	})
}

func (e *Enforcer) waitForSessions(ctx context.Context, soon bool) {
	pause := snapshotEvery
	if soon {
		pause = snapshotWithin
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-e.o.Sessions.Changed():
	}
}

// step takes every fact, makes every decision that is due and sleeps until the next.
func (e *Enforcer) step(ctx context.Context) {
	now := e.o.Clock.Now()
	e.checkClock()
	next := deadline.Never
	for _, g := range e.guards {
		e.believe(g, now)
		for t, due := g.m.Advance(now); due; t, due = g.m.Advance(now) {
			e.decide(ctx, g, t, now)
		}
		e.tend(g, now)
		next = min(next, g.m.Next(), g.look)
	}
	next = min(next, e.holdSleep(now), e.alive(now))
	if e.dirty {
		e.saveSoon(now)
		if e.dirty {
			next = min(next, e.saved+saveEvery)
		}
	}
	e.o.Timer.Set(min(next, e.publish(now)))
}

// aliveWithin is the longest that is promised between two signs of life, however far the next decision is.
const aliveWithin = time.Minute

// alive gives the sign of life when it is due, and says when the next one is. What wakes an idle machine less often may not
// make the lock of who is logged on late: a loop that hangs is replaced before the next decision, if that is far enough, and
// soon while a lock is held, which can be lost at any time.
func (e *Enforcer) alive(now Instant) Instant {
	if e.o.AliveWithin <= 0 {
		return deadline.Never
	}
	within := max(aliveWithin, e.o.AliveWithin)
	for _, g := range e.guards {
		due := g.m.Next()
		if g.m.State() == deadline.Secured {
			due = now
		}
		within = min(within, max(due-now, e.o.AliveWithin))
	}
	if now >= e.beat || now+within < e.owed {
		e.o.Alive(within)
		e.beat, e.owed = now+within/2, now+within
	}
	return e.beat
}

// takePolicy puts a policy in force, or says why it was not taken.
func (e *Enforcer) takePolicy(news PolicyNews) {
	before := e.loaded.Policy
	changed := news.Loaded.Policy.Hash() != e.hash
	e.loaded, e.hash = news.Loaded, news.Loaded.Policy.Hash()
	e.recordRelaxed(news, &before)
	if changed || news.Code != "" {
		e.recordPolicy(news)
	}
	for _, g := range e.guards {
		g.apply(&e.loaded.Policy)
	}
}
