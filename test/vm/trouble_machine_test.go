//go:build linux && machine

package vm

import (
	"strings"
	"time"

	"stepaway/audit"
	"stepaway/link"
)

// pids of our programs on the workstation.
func (w *ward) pids(programs ...string) string {
	w.t.Helper()
	list := w.sh("for p in /proc/[0-9]*; do case $(readlink $p/exe) in /usr/bin/stepaway-" + strings.Join(programs, "|/usr/bin/stepaway-") +
		") basename $p;; esac; done")
	if n := len(strings.Fields(list)); n < len(programs) {
		w.t.Fatalf("%d processes of %v", n, programs)
	}
	return strings.ReplaceAll(list, "\n", " ")
}

// killedAndStopped: whatever is done to our processes, the deadline stays. The watchdogs end what was stopped, of the agent
// after 15 s and of the courier after 3 minutes; the tray is the user's, and goes on when it is let.
func (w *ward) killedAndStopped() {
	const watchdog = 15 * time.Second // after which systemd ends an agent that does not stir
	for _, c := range []struct {
		sig      string
		programs []string
		late     time.Duration // at most
	}{
		{"KILL", []string{"agent", "courier", "tray"}, promptly},
		{"STOP", []string{"agent", "courier", "tray"}, watchdog + promptly},
	} {
		w.under(brisk)
		last := w.touch()
		w.sh("kill -" + c.sig + " " + w.pids(c.programs...))
		e := w.onTime(last, c.late)
		w.proved(last)
		w.step("SIG%s of %v: asked for a lock %v after the last key", c.sig, c.programs, at(e)-last)
		if c.sig == "STOP" {
			w.sh("kill -CONT " + w.pids("tray"))
		}
		w.open()
		w.until("the tray", func() bool { s, _ := w.session(); return s.Tray })
	}
}

// upgradedWhileLocked: the new version takes the locked session over, and it stays locked.
func (w *ward) upgradedWhileLocked() {
	w.under(brisk)
	last := w.touch()
	w.locked(last)
	w.rule(calm)
	since := w.now()
	w.install("stepaway", versions[1])
	w.until("the new version", func() bool { return w.status().Version == versions[1] })
	w.phase(link.Secured)
	w.await(since, audit.LockProved, "rung=found")
	if !w.greeter() {
		w.t.Error("after the upgrade the greeter is not in front")
	}
	w.none(since, audit.UnlockSeen)
	w.Shot("upgraded")
	w.open()
	w.under(brisk)
	last = w.touch()
	w.locked(last)
	w.open()
}

// powerIsPulled: what was not sent yet is there after the next boot, and the deadline is too.
func (w *ward) powerIsPulled() {
	w.must("systemctl", "disable", "-q", "--now", "stepaway-collector.service")
	boot := w.boot()
	w.under(brisk)
	last := w.touch()
	w.phase(link.Secured)
	w.rule(calm) // for the logon after the next boot
	w.must("sync", policyAt)
	w.until("the events to be on disk", func() bool {
		st := w.status()
		return st.Waiting == 0 && st.Courier != nil && st.Courier.Head > st.Courier.Acked
	})
	was := w.status().Courier
	w.step("%d events are not sent", was.Head-was.Acked)
	w.Pull()
	w.Start()
	w.step("the kernel is up again")
	w.logOn()
	st := w.status()
	if st.Courier == nil || st.Courier.Head < was.Head || st.Courier.Epoch != was.Epoch {
		w.t.Errorf("the spool before: %+v, after: %+v", was, st.Courier)
	}
	w.step("the spool: %s", w.must("runuser", "-u", "stepaway", "--", "stepaway-courier", "audit", "verify"))
	w.must("systemctl", "enable", "-q", "--now", "stepaway-collector.service")
	w.until("everything at the collector", func() bool {
		st := w.status()
		return st.Waiting == 0 && st.Courier != nil && st.Courier.Head == st.Courier.Acked
	})
	w.step("the collector: %s", w.collector("verify"))
	var kept int
	for _, e := range w.eventsOf(boot, last) {
		if is(e, audit.LockRequested, "reason=idle") {
			kept++
		}
	}
	if kept != 1 {
		w.t.Errorf("%d requests to lock of before the power was pulled, want 1", kept)
	}
	w.under(brisk)
	last = w.touch()
	w.locked(last)
	w.open()
}
