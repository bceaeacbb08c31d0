package collector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/uplink"
)

// drain reads a feed to its end in steps and answers what came, as DEVICE/EPOCH/SEQ, each once and in order of its epoch.
func drain(t testing.TB, f *Feed, most int) (got []string) {
	t.Helper()
	last := map[string]uint64{}
	for {
		rs, err := f.Next(context.Background(), most)
		must(t, err)
		if len(rs) == 0 {
			return got
		}
		if len(rs) > most {
			t.Fatalf("%d events, at most %d", len(rs), most)
		}
		for _, r := range rs {
			e, err := audit.Decode(r.Body)
			must(t, err)
			of := fmt.Sprint(e.Device, "/", e.Epoch)
			if e.Seq != r.Seq || audit.Hash(r.Body) != r.Hash || r.Seq <= last[of] {
				t.Fatalf("%s: %d after %d", of, r.Seq, last[of])
			}
			last[of] = r.Seq
			got = append(got, fmt.Sprint(of, "/", r.Seq))
		}
		must(t, f.Got(context.Background(), rs))
	}
}

// once checks that every one of so many events came exactly once.
func once(t testing.TB, got []string, want int) {
	t.Helper()
	seen := map[string]bool{}
	for _, g := range got {
		if seen[g] {
			t.Errorf("%s came twice", g)
		}
		seen[g] = true
	}
	if len(seen) != want {
		t.Errorf("%d events came, want %d", len(seen), want)
	}
}

func TestFeed(t *testing.T) { onEach(t, checkFeed) }

// checkFeed: two sinks, many devices, restarts: every event comes once to each, also what came meanwhile.
func checkFeed(t *testing.T, s *site) {
	now := time.Now()
	var chains []*chain
	for i := range 12 {
		c := newChain(t, audit.Label(fmt.Sprintf("ws-%02d", i)), "00000000000000aa", 60)
		chains = append(chains, c)
		s.take(t, c, 1, 40, now, 40)
	}
	second := newChain(t, "ws-03", "00000000000000bb", 10)
	s.take(t, second, 1, 10, now.Add(time.Second), 10)
	a, b := s.store.Feed("a", "one", false), s.store.Feed("b", "one", false)
	got := drain(t, a, 7)
	once(t, got, 12*40+10)
	rs, err := b.Next(context.Background(), 100) // handed over and not noted: the process ends here
	must(t, err)
	if len(rs) != 100 {
		t.Errorf("%d events", len(rs))
	}
	for _, c := range chains {
		s.take(t, c, 41, 60, now, 60)
	}
	once(t, append(got, drain(t, a, 500)...), 12*60+10)
	other := s.open(t)
	defer other.Close()
	b2 := other.Feed("b", "two", false)
	if rs, err := b2.Next(context.Background(), 100); err != nil || len(rs) != 0 {
		t.Errorf("%d events to a collector whose turn it is not: %v", len(rs), err)
	}
	b2.now = func() time.Time { return time.Now().Add(2 * served) }
	once(t, drain(t, b2, 100), 12*60+10)
	if err := b.Got(context.Background(), rs); !errors.Is(err, errTurn) {
		t.Errorf("noted by a collector whose turn is over: %v", err)
	}
	fed := fedOf(t, s)
	if fed["a"].Waiting != 0 || fed["b"].Waiting != 0 || fed["a"].Missed != 0 {
		t.Errorf("%+v", fed)
	}
	s.take(t, newChain(t, "ws-99", "00000000000000cc", 5), 1, 5, now, 5)
	if fed := fedOf(t, s); fed["a"].Waiting != 5 || fed["b"].Waiting != 5 {
		t.Errorf("%+v", fed)
	}
}

func fedOf(t testing.TB, s *site) map[string]Fed {
	t.Helper()
	all := map[string]Fed{}
	must(t, s.store.View(context.Background(), func(v *View) error {
		fs, err := v.Fed()
		for _, f := range fs {
			all[f.Sink] = f
		}
		return err
	}))
	return all
}

func TestFeedFromNowOn(t *testing.T) { onEach(t, checkFeedFromNowOn) }

func checkFeedFromNowOn(t *testing.T, s *site) {
	c := newChain(t, "ws-1", "00000000000000aa", 30)
	s.take(t, c, 1, 20, time.Now(), 20)
	f := s.store.Feed("new", "one", true)
	once(t, drain(t, f, 100), 0)
	s.take(t, c, 21, 30, time.Now(), 30)
	if got := drain(t, f, 100); len(got) != 10 || got[0] != "ws-1/00000000000000aa/21" {
		t.Errorf("%v", got)
	}
	once(t, drain(t, s.store.Feed("new2", "one", false), 100), 30)
}

func TestFeedPassesWhatWasRemoved(t *testing.T) { onEach(t, checkFeedPassesWhatWasRemoved) }

// checkFeedPassesWhatWasRemoved: what the rule of retention took before it was handed over is counted and holds up nothing.
func checkFeedPassesWhatWasRemoved(t *testing.T, s *site) {
	old, kept := newChain(t, "ws-1", "00000000000000aa", 60), newChain(t, "ws-2", "00000000000000bb", 5)
	long := time.Now().AddDate(-8, 0, 0)
	s.take(t, old, 1, 50, long, 50)
	s.take(t, old, 51, 60, time.Now(), 60)
	s.take(t, kept, 1, 5, time.Now(), 5)
	gone := newChain(t, "ws-0", "00000000000000cc", 9) // nothing of it is left
	s.take(t, gone, 1, 9, long, 9)
	rule, err := ParseRetention("6y")
	must(t, err)
	if _, err := s.store.Retain(context.Background(), s.a, rule, time.Now(), true); err != nil {
		t.Fatal(err)
	}
	got := drain(t, s.store.Feed("a", "one", false), 4)
	once(t, got, 15+1) // and that something was removed
	if fed := fedOf(t, s); fed["a"].Missed != 59 || fed["a"].Waiting != 0 {
		t.Errorf("%+v", fed)
	}
}

// TestSinksAreWokenByWhatComes and by nothing else.
func TestSinksAreWokenByWhatComes(t *testing.T) {
	s := newSite(t)
	taken := make(chan struct{}, 10)
	server := NewServer(s.a, s.store, slog.New(slog.DiscardHandler))
	server.Taken = func() { taken <- struct{}{} }
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, l) }()
	defer func() { cancel(); must(t, <-done) }()
	s.url = "https://" + l.Addr().String()
	ws := s.device(t, "ws-1", time.Now())
	if status, _, err := s.post(ws, uplink.PathEvents, []byte("{}")); err != nil || status < 400 {
		t.Errorf("%d, %v", status, err)
	}
	s.send(t, ws, newChain(t, "ws-1", "00000000000000aa", 5), 1, 5, nil)
	if len(taken) != 1 {
		t.Errorf("told %d times of one batch", len(taken))
	}
	once(t, drain(t, s.store.Feed("a", "one", false), 100), 5)
}
