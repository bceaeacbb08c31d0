package enforce

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"stepaway/audit"
	"stepaway/policy"
	"stepaway/session"
)

// sleeper plays the power manager.
type sleeper struct {
	c     chan Sleep
	ready atomic.Int32 // how often the machine was let go
}

func (s *sleeper) say(going bool) {
	s.c <- Sleep{Going: going, Ready: func() { s.ready.Add(1) }}
	synctest.Wait()
}

func sleeping(t *testing.T, setup func(w *world, o *Options), scene func(w *world, s *sleeper)) {
	s := &sleeper{}
	play(t, func(w *world, o *Options) {
		s.c = make(chan Sleep)
		o.Sleeps = s.c
		if setup != nil {
			setup(w, o)
		}
	}, func(w *world) { scene(w, s) })
}

func TestLockedBeforeSleep(t *testing.T) {
	sleeping(t, func(w *world, o *Options) {
		o.Policy.Loaded.Policy.Action = policy.SignOut
		w.secure = func(want Want, report func(Step)) policy.Proof {
			if want.Goal != GoalLock {
				t.Errorf("goal %s before sleep", want.Goal)
			}
			time.Sleep(2 * sec)
			return policy.ProofLocker
		}
	}, func(w *world, s *sleeper) {
		w.touch("1")
		w.after(sec)
		s.say(true)
		w.last(audit.PowerSuspend)
		if e := w.last(audit.LockRequested); e.Reason != audit.Policy || e.Facts.LateMS == nil {
			t.Errorf("%s %+v", e.Reason, e.Facts)
		}
		w.after(1500 * time.Millisecond)
		if s.ready.Load() != 0 {
			t.Error("the machine sleeps before the lock is proved")
		}
		w.after(sec)
		w.last(audit.LockProved)
		if s.ready.Load() != 1 {
			t.Errorf("let go %d times", s.ready.Load())
		}
		s.say(false)
		w.after(time.Hour)
		if n := w.count(audit.SignoutRequested); n != 0 {
			t.Errorf("signed out %d times although it is locked", n)
		}
	})
}

// TestSleepIsNotHeldUpForEver: what cannot be locked in time is tried again when the machine is back.
func TestSleepIsNotHeldUpForEver(t *testing.T) {
	works := false
	sleeping(t, func(w *world, _ *Options) {
		w.secure = func(_ Want, report func(Step)) policy.Proof {
			if works {
				report(Step{Rung: "logind", Proof: policy.ProofLocker})
				return policy.ProofLocker
			}
			time.Sleep(3 * sec)
			return policy.ProofNone
		}
	}, func(w *world, s *sleeper) {
		w.touch("1")
		s.say(true)
		w.after(4 * sec)
		if s.ready.Load() != 0 {
			t.Error("let go while a lock may still come")
		}
		w.after(sec)
		if s.ready.Load() != 1 {
			t.Errorf("let go %d times after five seconds", s.ready.Load())
		}
		works = true
		s.say(false)
		w.after(10 * sec)
		w.last(audit.LockProved)
	})
}

// TestSleepWithNothingToLock: a locked desktop and a terminal hold nothing up, and the terminal is not ended.
func TestSleepWithNothingToLock(t *testing.T) {
	console := session.Session{ID: "3", UID: 1002, User: "admin", Kind: session.TTY, TTY: "tty3", Seat: "seat0"}
	sleeping(t, func(w *world, _ *Options) {
		w.sessions = []session.Session{desk, console}
		w.inputs["3"] = Input{Readable: true}
	}, func(w *world, s *sleeper) {
		w.after(30 * sec)
		w.touch("3")
		w.after(31 * sec)
		w.last(audit.LockProved)
		s.say(true)
		if s.ready.Load() != 1 || w.count(audit.SignoutRequested) != 0 || w.count(audit.LockRequested) != 1 {
			t.Errorf("let go %d times; %v", s.ready.Load(), w.types())
		}
	})
}

// TestEndLetsTheMachineSleep: an agent that stops must not hold sleep up any longer.
func TestEndLetsTheMachineSleep(t *testing.T) {
	var s *sleeper
	sleeping(t, func(w *world, _ *Options) {
		w.secure = func(Want, func(Step)) policy.Proof { time.Sleep(2 * sec); return policy.ProofNone }
	}, func(w *world, sl *sleeper) {
		s = sl
		w.touch("1")
		s.say(true)
	})
	if s.ready.Load() != 1 {
		t.Errorf("let go %d times", s.ready.Load())
	}
}
