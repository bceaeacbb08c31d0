package enforce

import (
	"context"
	"testing"
	"testing/synctest"

	"stepaway/audit"
)

func TestEventsFromBesideTheLoopAreCompleted(t *testing.T) {
	play(t, nil, func(w *world) {
		p, hash, ok := w.e.InForce(w.t.Context())
		if !ok || p.Limit != 60*sec || hash != p.Hash() {
			t.Errorf("in force: %v, hash %s, %v", ok, hash, p.Limit)
		}
		if !w.e.Record(w.t.Context(), audit.Event{Type: audit.StateDrifted, Outcome: audit.Failure, Facts: &audit.Facts{Key: "stepaway-tray"}}) {
			t.Error("not taken")
		}
		e := w.last(audit.StateDrifted)
		if e.Severity != audit.Alert || e.Boot != "boot" || e.Policy != hash || e.N == 0 || e.Facts.Key != "stepaway-tray" || e.Check() != nil {
			t.Errorf("%+v", e)
		}
	})
}

// Whoever asks beside the loop does not hang when there is no loop, or none any more.
func TestBesideALoopThatEnded(t *testing.T) {
	play(t, nil, func(w *world) {
		ended, stop := context.WithCancel(w.t.Context())
		stop()
		if w.e.Record(ended, audit.Event{Type: audit.StateRecorded}) && w.count(audit.StateRecorded) != 1 {
			t.Error("taken and not recorded")
		}
		w.stop()
		synctest.Wait()
		if w.e.Record(w.t.Context(), audit.Event{Type: audit.StateApproved}) || w.count(audit.StateApproved) != 0 {
			t.Error("an event was taken after the end")
		}
		if _, _, ok := w.e.InForce(w.t.Context()); ok {
			t.Error("a policy is in force after the end")
		}
	})
}
