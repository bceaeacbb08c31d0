package inventory

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"time"

	"stepaway/audit"
)

const (
	// Every is how often the installation is looked at, beside every start.
	Every = 24 * time.Hour

	lookWithin = 2 * time.Minute // for one look; what was not read by then is unreadable
	mostTold   = 100             // differences that one look tells one by one
)

// Timer wakes at a time since boot, sleep counted.
type Timer interface {
	Set(at time.Duration) error
	C() <-chan struct{}
}

// Watch looks at the installation when it starts, once a day and when an administrator asks, and records what it finds.
type Watch struct {
	Take   func(context.Context) State
	Record func(context.Context, audit.Event) bool // false if the event was not taken, because the agent ends
	Folder Folder
	Now    func() time.Duration // since boot, sleep counted
	Timer  Timer
	Asked  <-chan struct{} // a hint that a request may wait; may be nil
	Log    *slog.Logger

	kept Kept
	said map[Difference]bool // in this run
}

// Run watches until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	w.start(ctx)
	w.answer(ctx)
	for next := w.sleep(); ; {
		select {
		case <-ctx.Done():
			return
		case <-w.Asked:
			w.answer(ctx)
		case <-w.Timer.C():
			if w.Now() < next { // a tick of an earlier setting
				continue
			}
			if now, ok := w.look(ctx); ok {
				w.recorded(ctx, now, "daily")
				w.compare(ctx, now, "")
			}
			next = w.sleep()
		}
	}
}

func (w *Watch) sleep() (until time.Duration) {
	until = w.Now() + Every
	if err := w.Timer.Set(until); err != nil {
		w.Log.Error("the installation is not looked at daily", "error", err)
	}
	return until
}

// look takes the state; false if the agent ends meanwhile.
func (w *Watch) look(ctx context.Context) (State, bool) {
	limited, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	s := w.Take(limited)
	return s, ctx.Err() == nil
}

// start compares with what the run before kept.
func (w *Watch) start(ctx context.Context) {
	now, ok := w.look(ctx)
	if !ok {
		return
	}
	kept, err := w.Folder.Load()
	w.kept = kept
	switch {
	case errors.Is(err, fs.ErrNotExist):
		w.kept.Approved = now
		w.recorded(ctx, now, "first")
	case err != nil:
		w.Log.Error("the state that was approved cannot be used; the present one is taken for it", "error", err)
		w.kept.Approved = now
		w.Record(ctx, audit.Event{Type: audit.StateDrifted, Outcome: audit.Failure, Facts: &audit.Facts{Key: "approved-state", Code: "damaged"}})
		w.recorded(ctx, now, "damaged")
	case now.Version != kept.Approved.Version && !older(now.Version, kept.Approved.Version):
		w.kept.Approved = upgraded(now, kept.Open)
		w.recorded(ctx, now, "upgrade")
	default:
		w.recorded(ctx, now, "start")
	}
	w.compare(ctx, now, "")
}

// upgraded is what counts as approved after an upgrade: the present state, but for what differed before it and is still as
// it was then. No upgrade approves that.
func upgraded(now State, open []Difference) State {
	s := State{now.Version, maps.Clone(now.Items)}
	for _, d := range open {
		is, has := now.Items[d.Name]
		switch {
		case d.New == gone && !has:
			s.Items[d.Name] = d.Old
		case has && is == d.New && d.Old == fresh:
			delete(s.Items, d.Name)
		case has && is == d.New:
			s.Items[d.Name] = d.Old
		}
	}
	return s
}

func (w *Watch) recorded(ctx context.Context, now State, code audit.Label) {
	w.Record(ctx, audit.Event{Type: audit.StateRecorded, Facts: &audit.Facts{
		Ref: audit.Label(now.Hash()), Code: code, Count: int64(len(now.Items))}})
}

// compare tells what differs and was not told yet, and keeps what was seen.
func (w *Watch) compare(ctx context.Context, now State, answers string) {
	open := Compare(w.kept.Approved, now)
	if older(now.Version, w.kept.Approved.Version) {
		open = append([]Difference{{versionItem, w.kept.Approved.Version, now.Version}}, open...)
	}
	said := make(map[Difference]bool, len(open))
	told, left := 0, 0
	for _, d := range open {
		switch {
		case w.said[d]:
		case told == mostTold:
			left++
		default:
			told++
			w.tell(ctx, d)
		}
		said[d] = true
	}
	if left > 0 {
		w.Record(ctx, audit.Event{Type: audit.StateDrifted, Outcome: audit.Failure, Facts: &audit.Facts{Code: "more", Count: int64(left)}})
	}
	w.said = said
	w.kept.Present, w.kept.At, w.kept.Open, w.kept.Answers = now, time.Now().UTC().Round(0), open, answers
	w.save()
}

// versionItem is the name of the difference that a downgrade makes.
const versionItem = "version"

func (w *Watch) tell(ctx context.Context, d Difference) {
	f := &audit.Facts{Key: audit.MakeLabel(d.Name), Old: told(d.Old), New: told(d.New)}
	if d.Name == versionItem {
		f.Code = "downgrade"
	}
	w.Log.Warn("the installation is not as it was approved", "item", d.Name, "was", f.Old, "is", f.New)
	w.Record(ctx, audit.Event{Type: audit.StateDrifted, Outcome: audit.Failure, Facts: f})
}

func (w *Watch) save() {
	if err := w.Folder.Save(w.kept); err != nil {
		w.Log.Error("the installation's state is not kept", "error", err)
	}
}

// answer does what a waiting request asks for. A state is approved only if it is the one that was asked for: what changed
// in between is told, and asks for another look.
func (w *Watch) answer(ctx context.Context) {
	r, err := w.Folder.take()
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		w.Log.Error("request about the installation's state not taken", "error", err)
		return
	}
	now, ok := w.look(ctx)
	if !ok {
		return
	}
	w.compare(ctx, now, "")
	if r.Approve != "" && r.Approve == now.Hash() {
		if !w.Record(ctx, audit.Event{Type: audit.StateApproved, Facts: &audit.Facts{
			Ref: audit.Label(now.Hash()), Count: int64(len(w.kept.Open)), Source: audit.MakeLabel(r.By)}}) {
			return
		}
		w.kept.Approved = now
	}
	w.compare(ctx, now, r.Name)
}
