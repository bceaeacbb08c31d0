package idle

import (
	"testing"
	"time"

	"stepaway/probe"
	"stepaway/session"
)

// seen stands in for probes: what they see is up to a test.
type seen struct {
	followed []session.Session
	reports  map[string]probe.Report
}

func (s *seen) Follow(now []session.Session)          { s.followed = now }
func (s *seen) Latest(id string) (probe.Report, bool) { r, ok := s.reports[id]; return r, ok }
func (s *seen) Changed() <-chan struct{}              { return nil }
func report(at time.Duration, readable bool) probe.Report {
	return probe.Report{At: at, Injected: 3, InjectedCount: 2, Readable: readable, Why: "why"}
}

func TestWatch(t *testing.T) {
	s := &seen{reports: map[string]probe.Report{"1": report(100, true), "2": report(100, false), "3": report(100, true), "4": report(100, true), "9": report(1, true)}}
	w := NewWatch(Options{Probes: s})
	w.Follow([]session.Session{{ID: "1"}, {ID: "2"}, {ID: "3", Left: 60}, {ID: "4", Left: 200}, {ID: "5"}})
	if len(s.followed) != 5 {
		t.Errorf("followed %+v", s.followed)
	}
	for id, want := range map[string]struct {
		in     Input
		known  bool
		source string
	}{
		"1": {Input{At: 100, Injected: 3, InjectedCount: 2, Readable: true}, true, Probe},
		"2": {Input{At: 100, Injected: 3, InjectedCount: 2}, true, None},
		"3": {Input{At: 60, Injected: 3, InjectedCount: 2, Readable: true}, true, Probe}, // nobody sat there since
		"4": {Input{At: 100, Injected: 3, InjectedCount: 2, Readable: true}, true, Probe},
		"5": {Input{}, true, None}, // no probe yet
		"9": {Input{}, false, None},
	} {
		in, known := w.Latest(id)
		if in != want.in || known != want.known || w.Choice(id).Source != want.source {
			t.Errorf("%s: %+v %v %+v, want %+v", id, in, known, w.Choice(id), want)
		}
	}
	w.Close()
}
