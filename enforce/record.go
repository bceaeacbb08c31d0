package enforce

import (
	"maps"
	"strconv"
	"time"

	"stepaway/audit"
	"stepaway/policy"
)

// clockStep is how far the wall clock must jump against boot time to be recorded.
const clockStep = 2 * time.Second

// record completes an event and hands it on. It never waits.
func (e *Enforcer) record(ev audit.Event) {
	wall, synced := e.o.Clock.Wall()
	ev.V, ev.Wall, ev.Synced = audit.Version, wall.UTC(), synced
	ev.BootMS, ev.Boot = e.o.Clock.Now().Milliseconds(), e.o.Boot
	ev.Agent, ev.Policy = string(audit.MakeLabel(e.o.Version)), e.hash
	ev.Severity, _ = audit.SeverityOf(ev.Type)
	if ev.Outcome == "" {
		ev.Outcome = audit.Success
	}
	e.totals.count(ev)
	e.news = true
	e.o.Outbox.Add(ev)
}

// recordOf records an event about a session.
func (e *Enforcer) recordOf(g *guard, ev audit.Event) {
	ev.Session = &audit.Session{
		ID: audit.MakeLabel(g.s.ID), Kind: audit.Label(g.s.Kind), UID: g.s.UID, SID: audit.MakeLabel(g.s.SID), User: audit.MakeLabel(g.s.User),
		Role: audit.MakeLabel(g.eff.Role), Seat: audit.MakeLabel(g.s.Seat),
	}
	if ev.Reason == "" {
		ev.Reason = reasonOf(ev.Type, g.reason)
	}
	e.record(ev)
}

// reasonOf is the reason of what was decided for a session; what merely happened has none.
func reasonOf(t audit.Type, r audit.Reason) audit.Reason {
	switch t {
	case audit.LockRequested, audit.LockProved, audit.LockFailed, audit.LockEscalated, audit.SignoutRequested,
		audit.SignoutDone, audit.ClientClose, audit.ClientClosed, audit.ClientEnded, audit.ClientCleared, audit.ClientFailed,
		audit.WarningShown:
		return r
	}
	return ""
}

// recordPolicy says what came of a look at the policy.
func (e *Enforcer) recordPolicy(news PolicyNews) {
	if news.Code != "" {
		facts := &audit.Facts{Code: audit.MakeLabel(news.Code), Count: int64(len(news.Waiting))}
		if len(news.Waiting) > 0 {
			facts.Key = audit.MakeLabel(news.Waiting[0].Key)
		}
		e.record(audit.Event{Type: audit.PolicyRejected, Outcome: audit.Failure, Facts: facts})
		return
	}
	e.record(audit.Event{Type: audit.PolicyLoaded, Facts: &audit.Facts{Ref: audit.Label(e.hash),
		Key: "version", New: audit.Label(strconv.Itoa(news.Loaded.Policy.Version))}})
}

// recordRelaxed raises an alert for every component that became weaker since before, and says who answers for it.
func (e *Enforcer) recordRelaxed(news PolicyNews, before *policy.Policy) {
	if news.Author != "" {
		e.record(audit.Event{Type: audit.PolicyApproved, Reason: audit.Policy, Facts: &audit.Facts{Ref: audit.Label(e.hash),
			Old: audit.MakeLabel(news.Author), New: audit.MakeLabel(news.Approver), Code: "author-approver"}})
	}
	for _, r := range append(policy.Relaxes(before, &news.Loaded.Policy), news.Also...) {
		e.record(audit.Event{Type: audit.PolicyRelaxed, Reason: audit.Policy, Facts: &audit.Facts{
			Key: audit.MakeLabel(r.Key), Old: audit.MakeLabel(r.Old), New: audit.MakeLabel(r.New)}})
	}
}

// checkClock records sleep and jumps of the wall clock. Nothing is decided by either.
func (e *Enforcer) checkClock() {
	if slept := e.o.Clock.Asleep(); slept-e.slept > time.Second {
		e.record(audit.Event{Type: audit.PowerResume, Facts: &audit.Facts{Count: (slept - e.slept).Milliseconds(), Code: "ms-asleep"}})
		e.slept = slept
		e.o.Ladder.Nudge()
	}
	drift := e.wallDrift()
	if d := drift - e.drift; d > clockStep || d < -clockStep {
		e.record(audit.Event{Type: audit.ClockJump, Facts: &audit.Facts{Count: d.Milliseconds(), Code: "ms"}})
		e.drift = drift
	}
}

func (e *Enforcer) wallDrift() time.Duration {
	wall, _ := e.o.Clock.Wall()
	return time.Duration(wall.UnixNano()) - e.o.Clock.Now()
}

// saveSoon saves at most every saveEvery.
func (e *Enforcer) saveSoon(now Instant) {
	if now-e.saved >= saveEvery {
		e.saved = now
		e.save(false)
	}
}

func (e *Enforcer) save(clean bool) {
	e.dirty = false
	last, _, _ := e.o.Outbox.Counts()
	st := Saved{Boot: e.o.Boot, Run: e.o.Outbox.Run, LastN: last, Clean: clean, Sessions: map[string]Instant{}}
	if e.o.Saved.Boot == e.o.Boot && len(e.guards) == 0 {
		maps.Copy(st.Sessions, e.o.Saved.Sessions) // not adopted yet
	}
	for id, g := range e.guards {
		st.Sessions[id] = g.m.LastInput()
	}
	e.o.Save(st)
}
