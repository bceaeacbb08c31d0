package enforce

import (
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"stepaway/audit"
	"stepaway/policy"
	"stepaway/session"
)

// all gives the events of one type so far.
func (w *world) all(typ audit.Type) iter.Seq[audit.Event] {
	es, _ := w.out.After(0, 1<<20)
	return func(yield func(audit.Event) bool) {
		for _, e := range es {
			if e.Type == typ && !yield(e) {
				return
			}
		}
	}
}

// TestStagesOfARole: the stages of a user's role hold for his session, and for no other.
func TestStagesOfARole(t *testing.T) {
	clerk := desk
	clerk.ID, clerk.UID, clerk.User, clerk.Groups, clerk.Active = "2", 1001, "clerk", []string{"clerks"}, false
	play(t, func(w *world, o *Options) {
		w.sessions = []session.Session{desk, clerk}
		w.inputs["2"] = Input{Readable: true}
		o.Policy.Loaded.Policy.Roles = []policy.Role{{Name: "clerk", Groups: []string{"clerks"}, Terms: policy.Terms{SignOutAfter: time.Minute}}}
	}, func(w *world) {
		w.after(60*sec + time.Minute + sec)
		if e := w.last(audit.SignoutRequested); e.Session.ID != "2" {
			t.Errorf("signed out: %+v", e.Session)
		}
		w.after(2 * time.Hour)
		for e := range w.all(audit.SignoutRequested) {
			if e.Session.ID != "2" {
				t.Errorf("%+v", e.Session)
			}
		}
	})
}

// TestClassOfTheWorkstation: a kiosk's limit holds for a user whose role would have more.
func TestClassOfTheWorkstation(t *testing.T) {
	nurse := desk
	nurse.Groups = []string{"nurses"}
	play(t, func(w *world, o *Options) {
		w.sessions = []session.Session{nurse}
		p := &o.Policy.Loaded.Policy
		p.Class, p.Classes = "kiosk", []policy.Class{{Name: "kiosk", Terms: policy.Terms{Limit: 20 * sec}}}
		p.Roles = []policy.Role{{Name: "nurse", Groups: []string{"nurses"}, Terms: policy.Terms{Limit: time.Hour}}}
	}, func(w *world) {
		w.after(21 * sec)
		if e := w.last(audit.LockRequested); *e.Facts.LimitMS != 20_000 || e.Session.Role != "" {
			t.Errorf("%+v %+v", e.Facts, e.Session)
		}
	})
}

// TestWhatCameOfThePolicyIsRecorded: who approved it, what waits for approval, and what weakened beside the settings.
func TestWhatCameOfThePolicyIsRecorded(t *testing.T) {
	var news chan PolicyNews
	play(t, func(_ *world, o *Options) { news = make(chan PolicyNews); o.Policies = news }, func(w *world) {
		p := policy.Default()
		p.Limit, p.Warning, p.Version = 60*sec, 20*sec, 3
		weaker := []policy.Relaxation{{Key: "limit", Old: "1m", New: "2m"}, {Key: "lock.proof", Old: "locker", New: "claim"}}
		news <- PolicyNews{Loaded: policy.Loaded{Policy: p}, Code: "unapproved", Waiting: weaker}
		synctest.Wait()
		if e := w.last(audit.PolicyRejected); e.Facts.Code != "unapproved" || e.Facts.Key != "limit" || e.Facts.Count != 2 || e.Severity != audit.Alert {
			t.Errorf("%s %+v", e.Severity, e.Facts)
		}
		p.Limit = 120 * sec
		news <- PolicyNews{Loaded: policy.Loaded{Policy: p}, Author: "alice@clinic", Approver: "bob@clinic",
			Also: []policy.Relaxation{{Key: "approval.allowed_signers", Old: "aa", New: "bb"}}}
		synctest.Wait()
		if f := w.last(audit.PolicyApproved).Facts; f.Old != "alice@clinic" || f.New != "bob@clinic" || string(f.Ref) != p.Hash() {
			t.Errorf("%+v", f)
		}
		var keys []audit.Label
		for e := range w.all(audit.PolicyRelaxed) {
			keys = append(keys, e.Facts.Key)
		}
		if len(keys) != 2 || keys[0] != "limit" || keys[1] != "approval.allowed_signers" {
			t.Errorf("weaker: %q", keys)
		}
		if f := w.last(audit.PolicyLoaded).Facts; f.Key != "version" || f.New != "3" {
			t.Errorf("%+v", f)
		}
	})
}
