//go:build linux && machine

package vm

import (
	"encoding/json"
	"time"

	"stepaway/audit"
	"stepaway/link"
	"stepaway/test/vm/wire"
)

// sleeping runs what puts the machine to sleep, and returns when it slept. Where wake is true the power button wakes it
// soon; else it wakes by itself.
func (w *ward) sleeping(wake bool, args ...string) (from, to time.Duration) {
	w.t.Helper()
	slept, woken := w.Heard("SUSPEND"), w.Heard("WAKEUP")
	said := w.Begin(2*patience, append([]string{"/payload/guest", "slept"}, args...)...)
	w.until("the machine to sleep", func() bool { return w.Heard("SUSPEND") > slept })
	if wake {
		time.Sleep(3 * time.Second) // that it slept is told by a clock of whole seconds
		w.Press()
	}
	w.until("the machine to wake up", func() bool { return w.Heard("WAKEUP") > woken })
	a := <-said
	var s wire.Slept
	if err := json.Unmarshal(a.Out, &s); err != nil {
		w.t.Fatalf("when the machine slept: %v: %s%s", err, a.Out, a.Err)
	}
	return time.Duration(s.From) * time.Millisecond, time.Duration(s.To) * time.Millisecond
}

// holds is how long the agent holds sleep back at least for a lock that is not proved, which an emulated processor on a
// busy machine may not get to: logind would wait 5 s.
const holds = 4 * time.Second

// sleepsLocked: asked by logind, the machine is locked before it sleeps.
func (w *ward) sleepsLocked() {
	w.asNurse("gsettings", "set", "apps.light-locker", "lock-on-suspend", "false") // it is ours that is looked at
	w.rule(calm)
	since := w.touch()
	from, to := w.sleeping(true, "systemctl", "suspend")
	w.await(since, audit.PowerSuspend)
	requested := w.await(since, audit.LockRequested, "reason=policy")
	proved := w.proved(since)
	if held := from - at(requested); at(proved) > from && held < holds {
		w.t.Errorf("asleep %v after the lock was asked for, %v before it was proved", held, at(proved)-from)
	}
	if !w.status().Sessions[0].Readable {
		w.t.Error("input cannot be read after sleep")
	}
	w.step("suspend: lock asked for %v before sleep and proved %v later; slept %v", from-at(requested), at(proved)-at(requested), to-from)
	w.Shot("after-suspend")
	w.open()
}

// sleepsAcrossADeadline: put to sleep behind logind's back, the machine is locked when it is back.
func (w *ward) sleepsAcrossADeadline() {
	w.under(brisk)
	last := w.touch()
	from, to := w.sleeping(false, "rtcwake", "-m", "mem", "-s", "45")
	requested := w.await(last, audit.LockRequested, "reason=idle")
	proved := w.proved(last)
	if from > last+limit {
		w.t.Errorf("asleep %v after the last input: the deadline was over", from-last)
	}
	if late := at(requested) - to; late > promptly {
		w.t.Errorf("asked for a lock %v after the machine was back", late)
	}
	w.step("rtcwake: slept %v, %v past the deadline; asked for a lock %v after it was back, proved %v after", to-from, to-last-limit,
		at(requested)-to, at(proved)-to)
	w.Shot("after-rtcwake")
	w.open()
}

// clockIsSet: no deadline looks at the wall clock. The collector on the same machine takes no certificate that is not valid yet, so the
// clock is back before its events are asked for.
func (w *ward) clockIsSet() {
	for _, by := range []struct{ there, back string }{{"+5 hours", "-5 hours"}, {"-9 hours", "+9 hours"}} {
		w.under(brisk)
		last := w.touch()
		w.must("date", "-s", by.there)
		w.phase(link.Secured)
		w.must("date", "-s", by.back)
		w.locked(last)
		w.await(last, audit.ClockJump)
		w.step("date -s %q: locked on time", by.there)
		w.open()
	}
}
