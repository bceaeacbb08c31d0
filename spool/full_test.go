package spool

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"stepaway/audit"
)

// TestFull fills a small spool: what is not critical is dropped and counted first, then critical events are
// refused; with room again one event tells the exact count.
func TestFull(t *testing.T) {
	dir := memory(t)
	const limit = 1 << 20
	s, _ := open(t, dir, Options{MaxBytes: limit})
	n, dropped := uint64(0), int64(0)
	var from, to uint64
	for dropped < 500 {
		var es []audit.Event
		for range 25 {
			n++
			es = append(es, event("a", n, audit.WarningShown))
		}
		stored := uint64(0)
		if first, last := mustAppend(t, s, es...); first > 0 {
			stored = last - first + 1
		}
		if stored == 25 {
			continue
		}
		if from == 0 {
			from = n - 25 + stored + 1
		}
		dropped, to = dropped+25-int64(stored), n
	}
	if got := s.State().Dropped; got != dropped {
		t.Errorf("%d counted, %d dropped", got, dropped)
	}
	closeSpool(t, s)
	s, _ = open(t, dir, Options{MaxBytes: limit})
	if got := s.State().Dropped; got != dropped {
		t.Errorf("%d counted after a restart, %d dropped", got, dropped)
	}
	critical := n
	var err error
	for err == nil {
		critical++
		_, _, err = s.Append([]audit.Event{event("a", critical, audit.LockFailed)})
	}
	if !errors.Is(err, ErrFull) || critical-n < 100 {
		t.Fatalf("%d critical events found room: %v", critical-n, err)
	}
	if _, _, err := s.Append([]audit.Event{event("a", critical, audit.WarningShown), event("a", critical+1, audit.LockFailed)}); !errors.Is(err, ErrFull) {
		t.Errorf("a batch with a critical event: %v", err)
	}
	if size := fileSize(filepath.Join(dir, fileName)); size > limit {
		t.Errorf("%d bytes on disk, at most %d", size, int64(limit))
	}
	ackAll(t, s)
	mustAppend(t, s, event("a", critical, audit.LockFailed))
	wantWords(t, s, fmt.Sprintf("spool.full ref=a %d-%d count=%d ", from, to, dropped), fmt.Sprintf("lock.failed a/%d", critical))
	if got := s.State().Dropped; got != 0 {
		t.Errorf("%d still counted", got)
	}
}

// TestFullForEver fills and drains a spool again and again: the file keeps its bound, and every event is
// either read or counted.
func TestFullForEver(t *testing.T) {
	dir := memory(t)
	const limit = 2 << 20
	s, _ := open(t, dir, Options{MaxBytes: limit})
	read, counted, n := uint64(0), uint64(0), uint64(0)
	drain := func(max int) {
		rs, err := s.Next(0, max, 1<<30)
		must(t, err)
		for _, r := range rs {
			e, err := audit.Decode(r.Body)
			must(t, err)
			if e.Type == audit.SpoolFull {
				counted += uint64(e.Facts.Count)
			} else {
				read++
			}
		}
		if len(rs) > 0 {
			r := rs[len(rs)-1]
			must(t, s.Ack(r.Seq, r.Hash, ""))
		}
	}
	for range 60 {
		for range 10 {
			var es []audit.Event
			for range 50 {
				n++
				es = append(es, event("a", n, audit.WarningCleared))
			}
			mustAppend(t, s, es...)
		}
		drain(300)
		if size := fileSize(filepath.Join(dir, fileName)); size > limit {
			t.Fatalf("%d bytes on disk, at most %d", size, int64(limit))
		}
	}
	if s.State().Dropped == 0 && counted == 0 {
		t.Fatal("nothing was ever dropped")
	}
	for s.State().Acked < s.State().Head {
		drain(1000)
	}
	if read+counted != n {
		t.Errorf("%d events: %d read and %d counted", n, read, counted)
	}
}
