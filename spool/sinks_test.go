package spool

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"stepaway/audit"
)

// sequence reads everything after a number and answers the numbers read.
func sequence(t testing.TB, s *Spool, after uint64) (seqs []uint64) {
	t.Helper()
	for {
		rs, err := s.Next(after, 1000, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if len(rs) == 0 {
			return seqs
		}
		for _, r := range rs {
			seqs, after = append(seqs, r.Seq), r.Seq
		}
	}
}

func ackTo(t testing.TB, s *Spool, last uint64) {
	t.Helper()
	rs, err := s.Next(last-1, 1, 1<<20)
	if err != nil || len(rs) != 1 || rs[0].Seq != last {
		t.Fatalf("event %d: %v, %v", last, rs, err)
	}
	if err := s.Ack(last, rs[0].Hash, "proof"); err != nil {
		t.Fatal(err)
	}
}

func pass(t testing.TB, s *Spool, sink string, last uint64) {
	t.Helper()
	if err := s.Passed(sink, s.State().Epoch, last); err != nil {
		t.Fatal(err)
	}
}

// TestAnEventStaysUntilEveryoneHasIt goes through collector and two sinks, and a restart in between.
func TestAnEventStaysUntilEveryoneHasIt(t *testing.T) {
	dir := memory(t)
	o := Options{Bound: "site", Sinks: []string{"fast", "slow"}}
	s, _ := open(t, dir, o)
	mustAppend(t, s, events("a", 1, 100)...)
	ackTo(t, s, 80)
	pass(t, s, "fast", 100)
	pass(t, s, "slow", 30)
	pass(t, s, "slow", 20) // never back
	check := func(freed, waiting int) {
		t.Helper()
		st := s.State()
		if int(st.Freed) != freed || len(sequence(t, s, 0)) != waiting || st.Acked != 80 {
			t.Errorf("freed %d of which %d remain, acknowledged %d: want %d and %d", st.Freed, len(sequence(t, s, 0)), st.Acked, freed, waiting)
		}
	}
	check(30, 70)
	closeSpool(t, s)
	s, r := open(t, dir, o)
	if r.Code != "" {
		t.Fatalf("a new epoch: %+v", r)
	}
	check(30, 70)
	if got := sequence(t, s, s.State().Sinks["slow"]); len(got) != 70 || got[0] != 31 {
		t.Errorf("the slow one goes on with %v", got)
	}
	if got := sequence(t, s, s.State().Acked); len(got) != 20 || got[0] != 81 {
		t.Errorf("the collector goes on with %v", got)
	}
	pass(t, s, "slow", 90)
	check(80, 20)
	closeSpool(t, s)
	s, _ = open(t, dir, Options{Bound: "site", Sinks: []string{"fast", "new"}}) // the slow one is no more
	check(80, 20)
	if st := s.State(); len(st.Sinks) != 2 || st.Sinks["new"] != 80 || st.Sinks["fast"] != 100 || len(st.Missed) != 0 {
		t.Errorf("%+v", st)
	}
	wantErr(t, s.Passed("slow", s.State().Epoch, 90), ErrAck)
	wantErr(t, s.Passed("new", s.State().Epoch, 101), ErrAck)
}

// TestSinksWithoutACollector: they alone decide what is freed; with a collector later a new epoch has what is left, and no
// sink gets an event twice.
func TestSinksWithoutACollector(t *testing.T) {
	dir := memory(t)
	s, _ := open(t, dir, Options{Sinks: []string{"a", "b"}})
	mustAppend(t, s, events("a", 1, 50)...)
	pass(t, s, "a", 40)
	pass(t, s, "b", 10)
	if st := s.State(); st.Freed != 10 {
		t.Errorf("freed %d", st.Freed)
	}
	closeSpool(t, s)
	s, _ = open(t, dir, Options{Bound: "site", Device: "ws", Sinks: []string{"a", "b"}})
	st := s.State()
	if got := sequence(t, s, 0); len(got) != 40 || st.Sinks["a"] != 30 || st.Sinks["b"] != 0 || st.Freed != 0 {
		t.Errorf("%d events, %+v", len(got), st)
	}
	closeSpool(t, s)
	s, _ = open(t, dir, Options{Bound: "site", Device: "ws"})
	ackAll(t, s)
	if st := s.State(); st.Freed != st.Head || len(sequence(t, s, 0)) != 0 {
		t.Errorf("without sinks %+v", st)
	}
}

// TestABoundSpoolGivesUpASlowSink: with a sink that takes nothing, nothing new is refused, and what it missed is told in the
// chain to the last event.
func TestABoundSpoolGivesUpASlowSink(t *testing.T) {
	for _, bound := range []string{"site", ""} {
		dir := memory(t)
		o := Options{MaxBytes: 2 << 20, Bound: bound, Sinks: []string{"fast", "stuck"}}
		s, _ := open(t, dir, o)
		told, taken := int64(0), map[uint64]bool{}
		at := uint64(0)
		for n := uint64(1); n <= 20_000; n += 250 {
			mustAppend(t, s, events("a", n, n+249)...)
			for rs := next1000(t, s, at); len(rs) > 0; rs = next1000(t, s, at) {
				for _, r := range rs {
					e, err := audit.Decode(r.Body)
					if err != nil || r.Seq != at+1 {
						t.Fatalf("event %d after %d: %v", r.Seq, at, err)
					}
					if at = r.Seq; e.Type == audit.SpoolGap && e.Facts.Source == "stuck" {
						told += e.Facts.Count
					}
				}
				if bound != "" {
					if err := s.Ack(at, rs[len(rs)-1].Hash, ""); err != nil {
						t.Fatal(err)
					}
				}
				pass(t, s, "fast", at)
			}
		}
		for _, seq := range sequence(t, s, s.State().Sinks["stuck"]) {
			taken[seq] = true
		}
		st := s.State()
		if st.Missed["stuck"] == 0 || told != st.Missed["stuck"] || int64(len(taken))+told != int64(st.Head) {
			t.Errorf("bound %q: %d written, %d for the stuck one, %d told, %d counted", bound, st.Head, len(taken), told, st.Missed["stuck"])
		}
		if st.Missed["fast"] != 0 || st.Dropped != 0 || st.Bytes > o.MaxBytes {
			t.Errorf("bound %q: %+v", bound, st)
		}
	}
}

func next1000(t *testing.T, s *Spool, after uint64) []audit.Record {
	t.Helper()
	rs, err := s.Next(after, 1000, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

// TestAnEpochThatEndsTellsWhatASinkMissed: what the collector has is not carried over, so a sink behind it is told.
func TestAnEpochThatEndsTellsWhatASinkMissed(t *testing.T) {
	s, _ := open(t, memory(t), Options{Bound: "site", Sinks: []string{"siem"}})
	mustAppend(t, s, events("a", 1, 10)...)
	ackTo(t, s, 7)
	pass(t, s, "siem", 4)
	old := s.State().Epoch
	rs, epoch, err := s.NextFor("siem", 100, 1<<20)
	if err != nil || epoch != old || len(rs) != 6 || rs[0].Seq != 5 {
		t.Fatalf("%d events of %s: %v", len(rs), epoch, err)
	}
	if err := s.Fork("fork"); err != nil {
		t.Fatal(err)
	}
	if err := s.Passed("siem", old, 3); err != nil { // of the epoch before
		t.Fatal(err)
	}
	wantWords(t, s, fmt.Sprintf("spool.rollback ref=%s 8-10 count=3 fork", old), fmt.Sprintf("spool.gap ref=%s 5-7 count=3 epoch", old),
		"lock.proved a/8", "lock.proved a/9", "lock.proved a/10")
	if st := s.State(); st.Sinks["siem"] != 0 || st.Missed["siem"] != 3 {
		t.Errorf("%+v", st)
	}
}

// TestReadersBesideAcks: a reader never takes what is deleted under it for damage.
func TestReadersBesideAcks(t *testing.T) {
	s, _ := open(t, memory(t), Options{Sinks: []string{"a", "b"}})
	const most = 3000
	var wg sync.WaitGroup
	for _, sink := range []string{"a", "b"} {
		wg.Go(func() {
			for at := uint64(0); at < most; {
				rs, err := s.Next(at, 7, 1<<20)
				if err == nil && len(rs) > 0 {
					if rs[0].Seq != at+1 {
						err = fmt.Errorf("%d after %d", rs[0].Seq, at)
					}
					at = rs[len(rs)-1].Seq
					err = errors.Join(err, s.Passed(sink, s.State().Epoch, at))
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for n := uint64(1); n <= most; n += 50 {
		mustAppend(t, s, events("a", n, n+49)...)
	}
	wg.Wait()
	if st := s.State(); st.Freed != most {
		t.Errorf("freed %d of %d", st.Freed, most)
	}
}

// TestSinksThatAreNotKnownNow go on where they were.
func TestSinksThatAreNotKnownNow(t *testing.T) {
	dir := memory(t)
	s, _ := open(t, dir, Options{Bound: "site", Sinks: []string{"a", "b"}})
	mustAppend(t, s, events("a", 1, 10)...)
	pass(t, s, "a", 3)
	closeSpool(t, s)
	s, _ = open(t, dir, Options{Bound: "site", KeepSinks: true})
	ackAll(t, s)
	if st := s.State(); st.Freed != 0 || len(st.Sinks) != 2 || st.Sinks["a"] != 3 {
		t.Errorf("%+v", st)
	}
	closeSpool(t, s)
	s, _ = open(t, dir, Options{Bound: "other", KeepSinks: true})
	if st := s.State(); len(st.Sinks) != 2 || st.Missed["a"] != 7 || st.Missed["b"] != 10 {
		t.Errorf("%+v", st)
	}
}

// TestASpoolFromBeforeSinks: a file that says nothing of what is freed goes on where it was acknowledged.
func TestASpoolFromBeforeSinks(t *testing.T) {
	dir := memory(t)
	s, _ := open(t, dir, Options{})
	mustAppend(t, s, events("a", 1, 10)...)
	ackTo(t, s, 6)
	err := s.submit(func(x *txn) error {
		x.st.Freed, x.st.FreedHash, x.dirty = 0, "", true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	closeSpool(t, s)
	s, r := open(t, dir, Options{Sinks: []string{"siem"}})
	if st := s.State(); r.Code != "" || st.Freed != 6 || st.Sinks["siem"] != 6 || len(sequence(t, s, 0)) != 4 {
		t.Errorf("%+v, %+v", r, s.State())
	}
}
