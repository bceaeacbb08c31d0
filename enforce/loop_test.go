package enforce

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"stepaway/audit"
	"stepaway/link"
	"stepaway/policy"
	"stepaway/scm"
	"stepaway/session"
)

// The parts around the loop are played here, in the time of a synctest bubble; the real ones are tested where they
// are, and together in test/whole.

type world struct {
	t     *testing.T
	began time.Time
	e     *Enforcer
	out   *link.Outbox
	timer *bubbleTimer
	stop  context.CancelFunc
	end   context.CancelCauseFunc
	done  chan struct{}

	mu       sync.Mutex
	sessions []session.Session
	failing  error
	inputs   map[string]Input
	source   string
	changed  chan struct{}
	seen     chan struct{}
	secure   func(w Want, report func(Step)) policy.Proof
	looks    policy.Proof
	held     map[string]chan Release
	clients  int // left after closing
	wants    []Want
	warned   []time.Duration
	saved    Saved
	started  []int32
	trusted  bool
	stopped  atomic.Bool
}

type bubbleTimer struct {
	w *world
	c chan struct{}
	t *time.Timer
}

func (b *bubbleTimer) Set(at Instant) {
	if b.t != nil {
		b.t.Stop()
	}
	if at > 1000*time.Hour {
		return
	}
	b.t = time.AfterFunc(max(at-b.w.Now(), 0), func() {
		select {
		case b.c <- struct{}{}:
		default:
		}
	})
}
func (b *bubbleTimer) C() <-chan struct{} { return b.c }

func (w *world) Now() Instant            { return time.Since(w.began) + 1000*time.Second }
func (w *world) Asleep() time.Duration   { return 0 }
func (w *world) Wall() (time.Time, bool) { return time.Now(), true }

func (w *world) Snapshot(context.Context) ([]session.Session, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.sessions), w.failing
}

type sessionsOf struct{ *world }

func (s sessionsOf) Changed() <-chan struct{} { return s.changed }

type inputsOf struct{ *world }

func (i inputsOf) Changed() <-chan struct{} { return i.seen }
func (i inputsOf) Follow([]session.Session) {}
func (i inputsOf) Latest(id string) (Input, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	in, ok := i.inputs[id]
	return in, ok
}
func (i inputsOf) Choice(string) (string, string) { return i.source, "played" }

func (w *world) Secure(_ context.Context, _ session.Session, want Want, report func(Step)) policy.Proof {
	w.mu.Lock()
	w.wants = append(w.wants, want)
	do := w.secure
	w.mu.Unlock()
	return do(want, report)
}
func (w *world) Look(context.Context, session.Session) policy.Proof { return w.looks }
func (w *world) Hold(_ context.Context, s session.Session) <-chan Release {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := make(chan Release, 1)
	w.held[s.ID] = c
	return c
}
func (w *world) Nudge() {}
func (w *world) CloseClients(_ context.Context, _ session.Session, cs []policy.Client, report func(ClientStep)) int {
	for _, c := range cs {
		report(ClientStep{Client: c.Name, Type: audit.ClientClosed, Count: 1})
	}
	return w.clients
}

type traysOf struct{ *world }

func (t traysOf) Start(_ session.Session, old int32) { t.started = append(t.started, old) }
func (t traysOf) Genuine(link.Peer) bool             { return t.trusted }
func (t traysOf) Running(link.Peer) bool             { return !t.stopped.Load() }

const sec = time.Second

var desk = session.Session{ID: "1", UID: 1000, User: "nurse", Kind: session.X11, Seat: "seat0", Active: true, Display: ":0"}

// play runs the loop in a bubble, one desktop logged on, a limit of 60 s warned 20 s before.
func play(t *testing.T, setup func(w *world, o *Options), scene func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancelCause(t.Context())
		stop := func() { end(nil) }
		w := &world{t: t, began: time.Now(), stop: stop, end: end, done: make(chan struct{}), out: link.NewOutbox("0badcafe"),
			sessions: []session.Session{desk}, inputs: map[string]Input{"1": {Readable: true}}, source: "x11",
			changed: make(chan struct{}, 1), seen: make(chan struct{}, 1), held: map[string]chan Release{}, trusted: true}
		w.timer = &bubbleTimer{w: w, c: make(chan struct{}, 1)}
		w.secure = func(want Want, report func(Step)) policy.Proof {
			proof := policy.ProofLocker
			if want.Goal == GoalSignOut {
				proof = policy.ProofEnded
			}
			report(Step{Rung: "logind", Proof: proof})
			return proof
		}
		p := policy.Default()
		p.Limit, p.Warning = 60*sec, 20*sec
		o := Options{Clock: w, Timer: w.timer, Sessions: sessionsOf{w}, Inputs: inputsOf{w}, Ladder: w, Outbox: w.out,
			Policy: PolicyNews{Loaded: policy.Loaded{Policy: p}}, Save: func(s Saved) { w.saved = s },
			Warn:    func(_ session.Session, left time.Duration, _ policy.Action) { w.warned = append(w.warned, left) },
			Courier: func(p link.Peer) bool { return p.UID == 999 }, Version: "test", Boot: "boot", Log: slog.New(slog.DiscardHandler)}
		if setup != nil {
			setup(w, &o)
		}
		w.e = New(o)
		go func() { defer close(w.done); w.e.Run(ctx) }()
		synctest.Wait()
		scene(w)
		stop()
		<-w.done
	})
}

func (w *world) after(d time.Duration) { w.t.Helper(); time.Sleep(d); synctest.Wait() }

func (w *world) input(id string, in Input) {
	w.mu.Lock()
	w.inputs[id] = in
	w.mu.Unlock()
	w.seen <- struct{}{}
	synctest.Wait()
}

func (w *world) touch(id string) { w.input(id, Input{At: w.Now(), Readable: true}) }

func (w *world) logOn(ss ...session.Session) {
	w.mu.Lock()
	w.sessions = ss
	w.mu.Unlock()
	w.changed <- struct{}{}
	synctest.Wait()
}

// types lists the events so far, oldest first, without those named.
func (w *world) types(but ...audit.Type) []audit.Type {
	var out []audit.Type
	es, _ := w.out.After(0, 1<<20)
	for _, e := range es {
		if !slices.Contains(but, e.Type) {
			out = append(out, e.Type)
		}
	}
	return out
}

func (w *world) last(typ audit.Type) *audit.Event {
	es, _ := w.out.After(0, 1<<20)
	for _, e := range slices.Backward(es) {
		if e.Type == typ {
			return &e
		}
	}
	w.t.Helper()
	w.t.Fatalf("no %s in %v", typ, w.types())
	return nil
}

func (w *world) attempts() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.wants)
}

func (w *world) none(types ...audit.Type) {
	w.t.Helper()
	for _, typ := range types {
		if n := w.count(typ); n != 0 {
			w.t.Errorf("%d times %s", n, typ)
		}
	}
}

func (w *world) count(typ audit.Type) int {
	n := 0
	for _, have := range w.types() {
		if have == typ {
			n++
		}
	}
	return n
}

func (w *world) expect(want ...audit.Type) {
	w.t.Helper()
	if got := w.types(audit.AgentStart, audit.PolicyLoaded, audit.SessionStart); !slices.Equal(got, want) {
		w.t.Fatalf("events %v, want %v", got, want)
	}
}

func TestLeftAloneIsWarnedLockedAndProved(t *testing.T) {
	play(t, nil, func(w *world) {
		w.after(40*sec - 1)
		w.expect()
		w.after(1)
		w.expect(audit.WarningShown)
		w.after(20 * sec)
		w.expect(audit.WarningShown, audit.LockRequested, audit.LockProved)
		p := w.last(audit.LockProved)
		if f := p.Facts; *f.IdleMS != 60000 || *f.LateMS != 0 || f.Rung != "logind" || f.Proof != "locker" || p.Reason != audit.Idle {
			t.Errorf("lock.proved %+v %s", f, p.Reason)
		}
		if p.Session.User != "nurse" || p.Boot != "boot" || p.Severity != audit.Info || p.Wall.Location() != time.UTC {
			t.Errorf("envelope %+v", p)
		}
		w.after(10 * time.Minute)
		w.expect(audit.WarningShown, audit.LockRequested, audit.LockProved)
	})
}

func TestInputCallsTheWarningOff(t *testing.T) {
	play(t, nil, func(w *world) {
		w.after(50 * sec)
		w.touch("1")
		w.expect(audit.WarningShown, audit.WarningCleared)
		w.after(39 * sec)
		w.expect(audit.WarningShown, audit.WarningCleared)
	})
}

func TestInputSeenOnlyAtTheDeadlineIsAskedForFirst(t *testing.T) {
	play(t, nil, func(w *world) {
		w.after(55 * sec)
		w.mu.Lock()
		w.inputs["1"] = Input{At: w.Now(), Readable: true} // no hint: a terminal has none
		w.mu.Unlock()
		w.after(6 * sec)
		if n := w.count(audit.LockRequested); n != 0 {
			t.Error("locked a person who gave input 6 s ago")
		}
	})
}

func TestUnprovedLockIsTriedAgainForEver(t *testing.T) {
	play(t, func(w *world, _ *Options) {
		w.secure = func(want Want, report func(Step)) policy.Proof {
			time.Sleep(4 * sec)
			report(Step{Rung: "logind", Proof: policy.ProofClaim, Code: "unproved"})
			return policy.ProofClaim
		}
	}, func(w *world) {
		w.after(11 * time.Minute)
		if n := len(w.wants); n < 60 {
			t.Errorf("%d attempts in ten minutes", n)
		}
		if n := w.count(audit.LockFailed); n != 4 {
			t.Errorf("%d records of failure", n)
		}
		if w.last(audit.LockFailed).Severity != audit.Alert || w.last(audit.LockEscalated).Facts.Code != "unproved" {
			t.Errorf("%+v", w.last(audit.LockEscalated).Facts)
		}
		if w.last(audit.LockRequested).Facts.Attempt != loudEvery {
			t.Error("attempts are not counted")
		}
	})
}

func TestReturn(t *testing.T) {
	for _, c := range []struct {
		name     string
		how      Release
		touched  time.Duration // after the lock; 0 never
		readable bool
		want     audit.Type
	}{
		{"the locker says so", ReleaseOpened, 0, true, audit.UnlockSeen},
		{"gone after input", ReleaseUnknown, 5 * sec, true, audit.UnlockSeen},
		{"gone without input", ReleaseUnknown, 0, true, audit.TamperSeen},
		{"killed, input or not", ReleaseKilled, 5 * sec, true, audit.TamperSeen},
		{"gone where input cannot be read", ReleaseUnknown, 0, false, audit.UnlockSeen},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, nil, func(w *world) {
				w.after(61 * sec)
				if c.touched > 0 {
					w.after(c.touched)
					w.touch("1")
				}
				w.input("1", Input{At: w.inputs["1"].At, Readable: c.readable})
				w.held["1"] <- c.how
				synctest.Wait()
				got := w.types()
				if !slices.Contains(got, c.want) {
					t.Fatalf("%v, want %s", got, c.want)
				}
				if again := w.count(audit.LockRequested); (again == 2) != (c.want == audit.TamperSeen) {
					t.Errorf("locked %d times", again)
				}
			})
		})
	}
}

func TestReturnFromBehindAGreeter(t *testing.T) {
	for _, c := range []struct {
		name            string
		unlocked, touch bool
		want            audit.Type
	}{
		{"by the password", true, false, audit.UnlockSeen},
		{"past the greeter by a key", false, true, audit.TamperSeen},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, func(w *world, _ *Options) {
				w.secure = func(_ Want, report func(Step)) policy.Proof {
					report(Step{Rung: "greeter", Proof: policy.ProofGreeter})
					return policy.ProofGreeter
				}
			}, func(w *world) {
				w.after(61 * sec)
				back := desk
				if c.unlocked {
					back.Unlocked = w.Now()
				}
				w.logOn(back)
				if c.touch {
					w.touch("1")
				}
				w.held["1"] <- ReleaseUnknown
				synctest.Wait()
				w.last(c.want)
				if again := w.count(audit.LockRequested); (again == 2) != (c.want == audit.TamperSeen) {
					t.Errorf("locked %d times", again)
				}
			})
		})
	}
}

// light-locker covers the screen, which proves the lock, and then has LightDM bring a greeter in front.
func TestReturnToALockerThroughAGreeter(t *testing.T) {
	for _, c := range []struct {
		name                 string
		away, back, unlocked bool
		untold               bool // logind has not told of the last when the locker goes
		want                 audit.Type
	}{
		{"by the password", true, true, true, false, audit.UnlockSeen},
		{"by the password, and nobody tells", true, true, true, true, audit.UnlockSeen},
		{"past the greeter", true, true, false, false, audit.TamperSeen},
		{"unlocked by a program, with a greeter in front", true, false, true, false, audit.TamperSeen},
		{"unlocked by a program, with no greeter", false, true, true, false, audit.TamperSeen},
	} {
		t.Run(c.name, func(t *testing.T) {
			front := desk
			front.Active = true
			play(t, func(w *world, _ *Options) { w.sessions = []session.Session{front} }, func(w *world) {
				w.after(61 * sec)
				if c.away {
					away := front
					away.Active = false
					w.logOn(away)
				}
				last := front
				last.Active = c.back
				if c.unlocked {
					last.Unlocked = w.Now()
				}
				if c.untold {
					w.mu.Lock()
					w.sessions = []session.Session{last}
					w.mu.Unlock()
				} else {
					w.logOn(last)
				}
				w.held["1"] <- ReleaseUnknown
				synctest.Wait()
				if got := w.types(); !slices.Contains(got, c.want) {
					t.Fatalf("%v, want %s", got, c.want)
				}
				if again := w.count(audit.LockRequested); (again == 2) != (c.want == audit.TamperSeen) {
					t.Errorf("locked %d times", again)
				}
			})
		})
	}
}

// A desktop whose locker nothing proves (GNOME's is part of its shell) must not lock for ever who gives his password.
func TestReturnToADesktopThatOnlyClaims(t *testing.T) {
	for _, c := range []struct {
		kind    session.Kind
		touched bool
	}{{session.Wayland, true}, {session.Wayland, false}, {session.X11, true}} {
		touched, believed, plain := c.touched, c.touched && c.kind == session.Wayland, desk
		plain.Kind = c.kind
		play(t, func(w *world, _ *Options) {
			w.sessions = []session.Session{plain}
			w.secure = func(_ Want, report func(Step)) policy.Proof {
				report(Step{Rung: "logind", Proof: policy.ProofClaim, Code: "unproved"})
				return policy.ProofClaim
			}
		}, func(w *world) {
			w.after(60 * sec)
			locked := plain
			locked.LockedHint = true
			w.logOn(locked)
			w.after(20 * sec)
			if touched {
				w.touch("1")
			}
			w.logOn(plain)
			attempts := w.attempts()
			w.after(30 * sec)
			if again := w.attempts() > attempts; again == believed {
				w.t.Errorf("input %v: locked again %v", touched, again)
			}
			w.last(audit.LockFailed)
			if believed && w.last(audit.UnlockSeen).Facts.Code != "unverified" {
				w.t.Errorf("%+v", w.last(audit.UnlockSeen).Facts)
			}
		})
	}
}

func TestInputBeforeTheLockIsNoReturn(t *testing.T) {
	play(t, nil, func(w *world) {
		w.after(61 * sec)
		w.held["1"] <- ReleaseUnknown // the last input was a minute ago, before the lock
		synctest.Wait()
		w.last(audit.TamperSeen)
	})
}

func TestThirdLossEndsTheSessionOnlyIfAllowed(t *testing.T) {
	for _, allowed := range []bool{false, true} {
		play(t, func(_ *world, o *Options) { o.Policy.Loaded.Policy.Lock.Terminate = allowed }, func(w *world) {
			w.after(61 * sec)
			for range 3 {
				w.held["1"] <- ReleaseKilled
				w.after(sec)
			}
			if got := w.wants[len(w.wants)-1].Goal; (got == GoalSignOut) != allowed {
				t.Errorf("allowed %v: %s", allowed, got)
			}
		})
	}
}

func TestTerminalIsWarnedInWordsAndEnded(t *testing.T) {
	play(t, func(w *world, _ *Options) {
		w.sessions = []session.Session{{ID: "1", UID: 1000, Kind: session.SSH, TTY: "pts/3", Remote: true}}
		w.source = "tty"
	}, func(w *world) {
		w.after(61 * sec)
		w.expect(audit.WarningShown, audit.SignoutRequested, audit.SignoutDone)
		if len(w.warned) != 1 || w.warned[0] != 20*sec {
			t.Errorf("warned %v", w.warned)
		}
	})
}

func TestUnattendedSessionIsLeftAlone(t *testing.T) {
	play(t, func(w *world, _ *Options) {
		w.sessions = []session.Session{{ID: "1", UID: 1000, Kind: session.SSH, Remote: true}}
	}, func(w *world) {
		w.after(time.Hour)
		w.expect()
	})
}

func TestEverySessionHasItsOwnDeadline(t *testing.T) {
	other := desk
	other.ID, other.UID, other.Active = "2", 1001, false
	play(t, nil, func(w *world) {
		w.after(30 * sec)
		w.logOn(desk, other)
		w.after(31 * sec)
		if n := w.count(audit.LockRequested); n != 1 {
			t.Fatalf("%d locks", n)
		}
		w.after(30 * sec)
		if n := w.count(audit.LockRequested); n != 2 {
			t.Fatalf("%d locks: the session in the background is not held to its limit", n)
		}
		w.logOn(other)
		w.last(audit.SessionEnd)
	})
}

func TestSnapshotThatFailsKeepsEnforcing(t *testing.T) {
	play(t, nil, func(w *world) {
		w.mu.Lock()
		w.failing = context.DeadlineExceeded
		w.mu.Unlock()
		w.changed <- struct{}{}
		w.after(61 * sec)
		w.last(audit.LockProved)
	})
}

func TestRestartIsNoFreshLimit(t *testing.T) {
	play(t, func(w *world, o *Options) {
		o.Saved = Saved{Boot: "boot", Run: "feedface", LastN: 7, Sessions: map[string]Instant{"1": w.Now() - 50*sec}}
	}, func(w *world) {
		if f := w.last(audit.AgentRecovered).Facts; f.Ref != "feedface" || f.To != 7 {
			t.Errorf("%+v", f)
		}
		w.after(10 * sec)
		w.last(audit.LockProved)
		if w.saved.Sessions["1"] != w.Now()-60*sec {
			t.Errorf("saved %v at %v", w.saved.Sessions, w.Now())
		}
	})
}

// TestARestartWhileLockedFindsTheLock: the run that takes a locked session over says so, asks for no second lock, and sees
// its user come back. Only what the run before guarded is looked at: behind a greeter that is still in front a session
// may begin.
func TestARestartWhileLockedFindsTheLock(t *testing.T) {
	saved := Saved{Boot: "boot", Run: "feedface", Sessions: map[string]Instant{"1": 1}}
	other := Saved{Boot: "boot", Run: "feedface", Sessions: map[string]Instant{"2": 1}}
	for _, c := range []struct {
		name  string
		saved Saved
		looks policy.Proof
		found bool
	}{{"locked", saved, policy.ProofGreeter, true}, {"open", saved, policy.ProofNone, false}, {"its own word", saved, policy.ProofClaim, false},
		{"a session that begins", other, policy.ProofGreeter, false}} {
		play(t, func(w *world, o *Options) {
			w.looks = c.looks
			o.Saved = c.saved
			o.Saved.Sessions = maps.Clone(c.saved.Sessions)
			for id := range o.Saved.Sessions {
				o.Saved.Sessions[id] = w.Now() - 5*sec
			}
		}, func(w *world) {
			if !c.found {
				w.after(10 * sec)
				w.none(audit.LockProved)
				return
			}
			w.after(50 * time.Minute)
			if e := w.last(audit.LockProved); e.Reason != audit.UnknownReason || e.Facts.Rung != "found" || w.count(audit.LockProved) != 1 {
				t.Errorf("%s: %+v, %+v", c.name, e, e.Facts)
			}
			w.none(audit.LockRequested, audit.WarningShown)
			w.mu.Lock()
			w.held["1"] <- ReleaseOpened
			w.mu.Unlock()
			w.after(sec)
			w.last(audit.UnlockSeen)
		})
	}
}

func TestSavedOfAnotherBootIsForgotten(t *testing.T) {
	play(t, func(w *world, o *Options) {
		o.Saved = Saved{Boot: "other", Run: "feedface", Sessions: map[string]Instant{"1": w.Now() - 59*sec}}
	}, func(w *world) {
		w.after(30 * sec)
		w.expect()
	})
}

func TestStopIsSaidAndSaved(t *testing.T) {
	play(t, nil, func(w *world) {
		w.stop()
		<-w.done
		if ev := w.last(audit.AgentStop); ev.Facts != nil {
			t.Errorf("%+v", ev.Facts)
		}
		if !w.saved.Clean {
			t.Error("not saved as clean")
		}
	})
}

func TestStopWithTheMachineIsNoAdministrators(t *testing.T) {
	play(t, nil, func(w *world) {
		w.end(scm.ErrShutdown)
		<-w.done
		if ev := w.last(audit.AgentStop); ev.Facts == nil || ev.Facts.Code != "shutdown" {
			t.Errorf("%+v", ev.Facts)
		}
	})
}

func TestInjectedInputIsRecordedAndPutsNothingOff(t *testing.T) {
	play(t, nil, func(w *world) {
		for i := range 50 {
			w.after(sec)
			w.input("1", Input{Readable: true, InjectedCount: uint64(i + 1)})
		}
		w.after(10 * sec)
		w.last(audit.LockProved)
		if n := w.count(audit.InputInjected); n != 1 {
			t.Errorf("%d records of injected input in a minute", n)
		}
	})
}

func TestUnreadableInputIsSaidOnceAndTheLimitRuns(t *testing.T) {
	play(t, func(w *world, _ *Options) { w.inputs = map[string]Input{} }, func(w *world) {
		w.after(9 * sec)
		w.expect()
		w.after(52 * sec)
		w.expect(audit.InputUnreadable, audit.WarningShown, audit.LockRequested, audit.LockProved)
	})
}

func TestManualLockOfTheUserIsProvedAndRecorded(t *testing.T) {
	for _, proof := range []policy.Proof{policy.ProofLocker, policy.ProofClaim} {
		play(t, func(w *world, _ *Options) { w.looks = proof }, func(w *world) {
			locked := desk
			locked.LockedHint = true
			w.logOn(locked)
			if got := w.count(audit.LockProved) == 1; got != (proof == policy.ProofLocker) {
				t.Errorf("proof %s believed: %v", proof, got)
			}
		})
	}
}

func TestClaimsMadeFastAreLookedAtOneByOne(t *testing.T) {
	var now, most atomic.Int32
	play(t, func(w *world, o *Options) { o.Ladder = slowToLook{w, &now, &most} }, func(w *world) {
		claimed := desk
		claimed.LockedHint = true
		for range 100 {
			w.logOn(claimed)
			w.logOn(desk)
		}
		w.after(10 * sec) // the last look has ended
		if now.Load() != 0 || most.Load() != 1 {
			t.Errorf("%d looks, %d at a time", now.Load(), most.Load())
		}
		w.logOn(claimed)
		w.after(sec) // snapshots are paced
		if now.Load() != 1 {
			t.Error("a later claim is not looked at")
		}
	})
}

func TestChangesThatNeverEndAreLookedAtAFewTimesASecond(t *testing.T) {
	var snapshots atomic.Int32
	play(t, func(w *world, o *Options) { o.Sessions = restless{sessionsOf{w}, &snapshots} }, func(w *world) {
		w.after(sec)
		if n := snapshots.Load(); n > burst+5 {
			t.Errorf("%d snapshots in the first second", n)
		}
		snapshots.Store(0)
		w.after(10 * sec)
		if n := snapshots.Load(); n < 30 || n > 45 {
			t.Errorf("%d snapshots in ten seconds", n)
		}
	})
}

// restless sessions change all the time.
type restless struct {
	sessionsOf
	snapshots *atomic.Int32
}

func (r restless) Snapshot(ctx context.Context) ([]session.Session, error) {
	r.snapshots.Add(1)
	return r.sessionsOf.Snapshot(ctx)
}

func (r restless) Changed() <-chan struct{} {
	always := make(chan struct{})
	close(always)
	return always
}

// slowToLook takes three seconds to look.
type slowToLook struct {
	*world
	now, most *atomic.Int32
}

func (s slowToLook) Look(context.Context, session.Session) policy.Proof {
	s.most.Store(max(s.most.Load(), s.now.Add(1)))
	time.Sleep(3 * sec)
	s.now.Add(-1)
	return policy.ProofNone
}

func TestActions(t *testing.T) {
	client := []policy.Client{{Name: "Example EHR", Paths: []string{"/opt/x"}, AtDeadline: policy.Close},
		{Name: "Left", Paths: []string{"/opt/y"}, AtDeadline: policy.Leave}}
	for _, c := range []struct {
		action policy.Action
		left   int
		want   []audit.Type
	}{
		{policy.SignOut, 0, []audit.Type{audit.SignoutRequested, audit.SignoutDone}},
		{policy.Disconnect, 0, []audit.Type{audit.LockRequested, audit.LockProved}},
		{policy.CloseClients, 0, []audit.Type{audit.ClientClosed, audit.ClientClosed}},
		{policy.CloseClients, 1, []audit.Type{audit.ClientClosed, audit.LockProved}},
	} {
		play(t, func(w *world, o *Options) {
			o.Policy.Loaded.Policy.Action, o.Policy.Loaded.Policy.Clients = c.action, client
			w.clients = c.left
		}, func(w *world) {
			w.after(61 * sec)
			w.expect(append([]audit.Type{audit.WarningShown}, c.want...)...)
		})
	}
}

func TestKioskIsNotSecuredOverAndOver(t *testing.T) {
	play(t, func(w *world, o *Options) { o.Policy.Loaded.Policy.Action = policy.CloseClients }, func(w *world) {
		w.after(10 * time.Minute)
		n := len(w.types())
		w.after(10 * time.Minute)
		if len(w.types()) != n {
			t.Errorf("%v", w.types())
		}
		w.touch("1")
		w.after(61 * sec)
		if w.count(audit.WarningShown) != 2 {
			t.Errorf("the next person has no limit: %v", w.types())
		}
	})
}

func TestStagesFollowALock(t *testing.T) {
	play(t, func(_ *world, o *Options) {
		o.Policy.Loaded.Policy.Stages = policy.Stages{CloseClientsAfter: 2 * time.Minute, SignOutAfter: time.Minute}
		o.Policy.Loaded.Policy.Clients = []policy.Client{{Name: "EHR", AtDeadline: policy.Close}}
	}, func(w *world) {
		w.after(60*sec + time.Minute)
		if e := w.last(audit.SignoutRequested); e.Reason != audit.Policy {
			t.Errorf("%+v", e)
		}
		w.after(time.Minute)
		w.last(audit.ClientClosed)
	})
}

func TestSignOutThatFailsIsTriedAgain(t *testing.T) {
	tries := 0
	play(t, func(w *world, o *Options) {
		o.Policy.Loaded.Policy.Stages = policy.Stages{SignOutAfter: time.Minute}
		ok := w.secure
		w.secure = func(want Want, report func(Step)) policy.Proof {
			if want.Goal == GoalSignOut {
				if tries++; tries < 3 {
					return policy.ProofNone
				}
			}
			return ok(want, report)
		}
	}, func(w *world) {
		w.after(60*sec + time.Minute)
		if e := w.last(audit.LockFailed); e.Facts.LateMS != nil || e.Reason != audit.Policy {
			t.Errorf("%s %+v", e.Reason, e.Facts)
		}
		w.after(30 * sec)
		if e := w.last(audit.SignoutDone); e.Facts.LateMS != nil || e.Reason != audit.Policy || tries != 3 {
			t.Errorf("%s %+v after %d tries", e.Reason, e.Facts, tries)
		}
	})
}

func TestClientsOfWhoIsBackAreLeftAlone(t *testing.T) {
	var closing context.Context
	play(t, func(w *world, o *Options) {
		o.Policy.Loaded.Policy.Stages = policy.Stages{CloseClientsAfter: time.Minute}
		o.Policy.Loaded.Policy.Clients = []policy.Client{{Name: "EHR", AtDeadline: policy.Close}}
		o.Ladder = slowToClose{w, &closing}
	}, func(w *world) {
		w.after(60*sec + time.Minute)
		if closing == nil || closing.Err() != nil {
			t.Fatal("the clients are not being closed")
		}
		w.held["1"] <- ReleaseOpened
		synctest.Wait()
		if closing.Err() == nil {
			t.Error("the clients are still being closed")
		}
	})
}

// slowToClose closes clients until it is told to stop.
type slowToClose struct {
	*world
	with *context.Context
}

func (s slowToClose) CloseClients(ctx context.Context, _ session.Session, _ []policy.Client, _ func(ClientStep)) int {
	*s.with = ctx
	<-ctx.Done()
	return 1
}

// A busy file puts the closing of clients off for minutes: no lock waits for that, attempts that fail begin no further closing,
// and who is back finds his clients open.
func TestLockDoesNotWaitForClients(t *testing.T) {
	for _, locks := range []bool{true, false} {
		busy := &busyClients{}
		play(t, func(w *world, o *Options) {
			o.Policy.Loaded.Policy.Action = policy.CloseClientsAndLock
			o.Policy.Loaded.Policy.Stages = policy.Stages{CloseClientsAfter: time.Minute}
			o.Policy.Loaded.Policy.Clients = []policy.Client{{Name: "EHR", AtDeadline: policy.Close}}
			busy.world, busy.proceed = w, make(chan struct{})
			o.Ladder = busy
			if !locks {
				w.secure = func(Want, func(Step)) policy.Proof { return policy.ProofNone }
			}
		}, func(w *world) {
			w.after(60 * sec)
			if locks {
				if f := w.last(audit.LockProved).Facts; *f.LateMS != 0 {
					t.Errorf("proved %d ms after the deadline", *f.LateMS)
				}
			}
			w.after(10 * time.Minute)
			if n := busy.calls.Load(); n != 1 || busy.ended.Load() != 0 {
				t.Errorf("locks %v: %d closings begun, %d ended", locks, n, busy.ended.Load())
			}
			if !locks {
				return
			}
			w.held["1"] <- ReleaseOpened
			synctest.Wait()
			if busy.ended.Load() != 1 {
				t.Error("the clients of who is back are still being closed")
			}
			close(busy.proceed)
			w.after(60 * sec)
			w.after(sec)
			if n := busy.calls.Load(); n != 2 {
				t.Errorf("%d closings at the next deadline", n-1)
			}
			if f := w.last(audit.ClientClose).Facts; f.Code != "busy" || f.Count != 3 || f.Client != "EHR" {
				t.Errorf("%+v", f)
			}
			if e := w.last(audit.ClientFailed); e.Facts.Code != "cache" || e.Outcome != audit.Failure || e.Reason != audit.Idle {
				t.Errorf("%+v %+v", e, e.Facts)
			}
			if e := w.last(audit.ClientCleared); e.Outcome != audit.Success || e.Severity != audit.Info || e.Reason != audit.Idle {
				t.Errorf("%+v", e)
			}
		})
	}
}

// busyClients are closed when they may proceed.
type busyClients struct {
	*world
	proceed      chan struct{}
	calls, ended atomic.Int32
}

func (b *busyClients) CloseClients(ctx context.Context, _ session.Session, _ []policy.Client, report func(ClientStep)) int {
	b.calls.Add(1)
	defer b.ended.Add(1)
	select {
	case <-ctx.Done():
		return 1
	case <-b.proceed:
	}
	report(ClientStep{Client: "EHR", Type: audit.ClientClose, Count: 3, Code: "busy"})
	report(ClientStep{Client: "EHR", Type: audit.ClientCleared, Count: 9, Code: "cache"})
	report(ClientStep{Client: "EHR", Type: audit.ClientFailed, Count: 1, Code: "cache"})
	return 0
}

func TestPolicyChangeHoldsAtOnceAndWeakeningIsSeen(t *testing.T) {
	var news chan PolicyNews
	play(t, func(_ *world, o *Options) { news = make(chan PolicyNews); o.Policies = news }, func(w *world) {
		p := policy.Default()
		p.Limit = 30 * sec
		w.after(35 * sec)
		news <- PolicyNews{Loaded: policy.Loaded{Policy: p}}
		synctest.Wait()
		w.last(audit.LockProved)
		if w.count(audit.PolicyRelaxed) != 0 {
			t.Error("a stricter limit was called weaker")
		}
		p.Limit = 45 * sec
		news <- PolicyNews{Loaded: policy.Loaded{Policy: p}}
		synctest.Wait()
		if f := w.last(audit.PolicyRelaxed).Facts; f.Key != "limit" || f.Old != "30s" || f.New != "45s" {
			t.Errorf("%+v", f)
		}
		news <- PolicyNews{Loaded: policy.Loaded{Policy: p}, Code: "invalid"}
		synctest.Wait()
		w.last(audit.PolicyRejected)
	})
}

func TestWeakeningWhileTheAgentWasDownIsSeen(t *testing.T) {
	strict := policy.Default()
	strict.Limit = 10 * sec
	play(t, func(_ *world, o *Options) { o.Policy.Before = &strict }, func(w *world) {
		w.last(audit.PolicyRelaxed)
	})
}

func TestTrays(t *testing.T) {
	var shown atomic.Pointer[link.State]
	show := func(s link.State) { shown.Store(&s) }
	nurse := link.Peer{PID: 7, UID: 1000}
	play(t, func(w *world, o *Options) { o.Tray, o.TrayIn = traysOf{w}, 15*sec }, func(w *world) {
		if _, code := w.e.Tray(link.Peer{UID: 1001}, "1"); code != "session" {
			t.Errorf("another user's tray: %q", code)
		}
		if id, code := w.e.Tray(nurse, "unknown"); id != "1" || code != "" {
			t.Errorf("only desktop: %q %q", id, code)
		}
		w.e.TrayUp("1", nurse, show)
		synctest.Wait()
		if st := shown.Load(); st == nil || st.Phase != link.Active || st.DeadlineMS != 1060000 || st.LimitMS != 60000 {
			t.Fatalf("shown %+v", st)
		}
		w.after(40 * sec)
		if st := shown.Load(); st.Phase != link.Warned {
			t.Errorf("%+v", st)
		}
		w.e.TrayDown("1", nurse)
		w.after(trayBack)
		if w.last(audit.TrayLost); len(w.started) != 1 || w.started[0] != 7 {
			t.Errorf("started %v", w.started)
		}
		w.e.TrayUp("1", nurse, show)
		synctest.Wait()
		w.last(audit.TrayRestored)
		again := nurse
		again.Conn = 2 // the same process, on a new connection
		w.e.TrayUp("1", again, show)
		w.e.TrayDown("1", nurse)
		synctest.Wait()
		if n := w.count(audit.TrayLost); n != 1 {
			t.Errorf("the end of an old connection is taken for a loss: %d", n)
		}
		w.stopped.Store(true)
		w.after(20 * time.Minute) // the limit and the look at the sessions wake the loop
		if n := w.count(audit.TrayLost); n != 2 {
			t.Errorf("a stopped tray is not missed: %d", n)
		}
		w.trusted = false
		for range 5 {
			if _, code := w.e.Tray(nurse, "1"); code != "role" {
				t.Errorf("impostor: %q", code)
			}
		}
		synctest.Wait()
		if n := w.count(audit.TrayImpostor); n != 1 {
			t.Errorf("%d records", n)
		}
	})
}

func TestLockNow(t *testing.T) {
	play(t, nil, func(w *world) {
		w.after(10 * sec)
		click := w.Now()
		w.after(sec / 2)
		w.e.LockNow("1")
		synctest.Wait()
		if e := w.last(audit.LockRequested); e.Reason != audit.Manual {
			t.Errorf("%+v", e)
		}
		w.input("1", Input{At: click, Readable: true})
		w.expect(audit.LockRequested, audit.LockProved)
		w.e.LockNow("nobody")
	})
}

func TestStatusShowsAUserHisOwn(t *testing.T) {
	other := session.Session{ID: "2", UID: 1001, Kind: session.X11, Display: ":1"}
	play(t, func(w *world, _ *Options) { w.sessions = append(w.sessions, other) }, func(w *world) {
		for uid, want := range map[uint32]int{0: 2, 1000: 1, 5: 0} {
			st, err := w.e.Status(w.t.Context(), link.Peer{UID: uid, Root: uid == 0})
			if err != nil || len(st.Sessions) != want {
				t.Errorf("uid %d sees %d sessions, %v", uid, len(st.Sessions), err)
			}
		}
	})
}

func TestNoPeerMovesADeadlineLater(t *testing.T) {
	play(t, func(w *world, o *Options) { o.Tray = traysOf{w} }, func(w *world) {
		p := link.Peer{UID: 1000, PID: 9}
		for range 59 {
			w.e.TrayUp("1", p, func(link.State) {})
			w.e.CourierSaid(&link.Courier{Collector: "up"})
			w.e.TrayDown("1", p)
			w.after(sec)
		}
		w.after(sec)
		if w.last(audit.LockProved); *w.last(audit.LockProved).Facts.LateMS != 0 {
			t.Errorf("late by %d ms", *w.last(audit.LockProved).Facts.LateMS)
		}
	})
}

// sign is one of life, and how soon the next was promised.
type sign struct{ at, within time.Duration }

// signs plays two minutes in which the loop is watched, and each promise is held.
func signs(t *testing.T, setup func(w *world, o *Options), scene func(w *world)) (all []sign) {
	t.Helper()
	play(t, func(w *world, o *Options) {
		o.Alive, o.AliveWithin = func(within time.Duration) { all = append(all, sign{w.Now() - 1000*sec, within}) }, 15*sec
		setup(w, o)
	}, func(w *world) {
		scene(w)
		w.after(120*sec - time.Since(w.began))
	})
	all = slices.DeleteFunc(all, func(s sign) bool { return s.at >= 120*sec })
	for i, s := range slices.Insert(slices.Clone(all), len(all), sign{at: 120 * sec})[1:] {
		if s.at-all[i].at > all[i].within/2 {
			t.Errorf("a sign of life at %v and then at %v, and %v was promised", all[i].at, s.at, all[i].within)
		}
	}
	return all
}

// The watchdog of a machine on which nothing is due is answered less often. One that hangs is replaced before
// anything is due, and soon while a lock is held.
func TestSignsOfLife(t *testing.T) {
	idle := signs(t, func(w *world, _ *Options) { w.sessions = nil }, func(*world) {})
	if len(idle) > 5 || idle[0].within != 60*sec {
		t.Errorf("where nobody is logged on: %v", idle)
	}
	due := func(at time.Duration) time.Duration { // the next decision, of a session that was touched at 30 s
		for _, d := range []time.Duration{70, 90} { // warning, lock
			if at < d*sec {
				return d * sec
			}
		}
		return at // locked: that may be lost at any time
	}
	guarded := signs(t, func(*world, *Options) {}, func(w *world) { w.after(30 * sec); w.touch("1") })
	for _, s := range guarded {
		if s.at >= 30*sec && s.at+s.within > max(due(s.at), s.at+15*sec) {
			t.Errorf("at %v the next was promised within %v: too late for %v", s.at, s.within, due(s.at))
		}
	}
	var news chan PolicyNews
	nearer := signs(t, func(_ *world, o *Options) {
		news = make(chan PolicyNews)
		o.Policies, o.Policy.Loaded.Policy.Limit = news, 900*sec
	}, func(w *world) {
		p := w.e.o.Policy
		p.Loaded.Policy.Limit = 60 * sec
		w.after(10 * sec)
		w.touch("1")
		news <- p
	})
	if !slices.Contains(nearer, sign{10 * sec, 40 * sec}) {
		t.Errorf("when the warning came nearer: %v", nearer)
	}
}

func TestTerminalThatComesAfterTheLogonIsFound(t *testing.T) {
	bare := session.Session{ID: "2", UID: 1000, User: "nurse", Kind: session.SSH, Since: 990 * sec}
	shell := bare
	shell.TTY = "pts/0"
	play(t, func(w *world, _ *Options) { w.sessions = []session.Session{bare} }, func(w *world) {
		w.mu.Lock()
		w.sessions = []session.Session{shell} // and nobody tells
		w.mu.Unlock()
		w.after(snapshotWithin)
		if n := w.count(audit.SessionStart); n != 1 {
			w.t.Errorf("%d sessions guarded, want 1", n)
		}
	})
}

// A session that is disconnected when the agent starts has been idle since it was left.
func TestSessionThatWasLeftBeforeTheStart(t *testing.T) {
	left := desk
	left.Left = 930 * sec
	play(t, func(w *world, _ *Options) { w.sessions = []session.Session{left} }, func(w *world) {
		w.after(sec)
		w.expect(audit.LockRequested, audit.LockProved)
	})
}

func TestServerThatStartsAfterTheLogonIsFound(t *testing.T) {
	bare := desk
	bare.Display, bare.Since = "", 990*sec
	play(t, func(w *world, _ *Options) { w.sessions = []session.Session{bare} }, func(w *world) {
		w.mu.Lock()
		w.sessions = []session.Session{desk} // and nobody tells
		w.mu.Unlock()
		w.after(snapshotWithin)
		if s, _ := w.e.sessionFor(link.Peer{UID: desk.UID}, desk.ID); s.Display != desk.Display {
			w.t.Errorf("display %q, want %q", s.Display, desk.Display)
		}
	})
}

func TestRungThatIsNotThereIsNoStep(t *testing.T) {
	play(t, func(w *world, _ *Options) {
		w.secure = func(_ Want, report func(Step)) policy.Proof {
			report(Step{Rung: "logind", Proof: policy.ProofNone, Code: "unproved"})
			report(Step{Rung: "greeter", Proof: policy.ProofNone, Code: Unavailable})
			return policy.ProofNone
		}
	}, func(w *world) {
		w.after(61 * sec)
		if n := w.count(audit.LockEscalated); n != 1 {
			t.Errorf("%d steps are recorded, want 1", n)
		}
		if f := w.last(audit.LockFailed).Facts; f.Rung != "logind" {
			t.Errorf("the last that was tried is %q", f.Rung)
		}
	})
}
