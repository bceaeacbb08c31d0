package enforce

import (
	"slices"
	"sync"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/link"
	"stepaway/policy"
)

func TestStatusIsPublishedWithTotals(t *testing.T) {
	var mu sync.Mutex
	var all []link.Status
	published := func() []link.Status { mu.Lock(); defer mu.Unlock(); return slices.Clone(all) }
	play(t, func(w *world, o *Options) {
		o.Publish = func(st link.Status) { mu.Lock(); defer mu.Unlock(); all = append(all, st) }
		secure := w.secure
		w.secure = func(want Want, report func(Step)) policy.Proof {
			time.Sleep(300 * time.Millisecond)
			return secure(want, report)
		}
	}, func(w *world) {
		for range 600 { // input without end wakes the loop, and publishes no more for that
			w.after(100 * time.Millisecond)
			w.touch("1")
		}
		got := published()
		if len(got) == 0 || len(got) > 2 {
			t.Fatalf("published %d times in a minute", len(got))
		}
		w.after(3 * time.Minute) // locked after one
		got = published()
		if n := len(got); n < 3 || n > 5 {
			t.Errorf("published %d times in four minutes", n)
		}
		w.after(time.Hour) // in which nothing happens
		got = published()[len(got):]
		if n := len(got); n < 11 || n > 13 {
			t.Errorf("published %d times in an hour without news", n)
		}
		last := got[len(got)-1]
		if len(last.Sessions) != 1 || last.Sessions[0].State.Phase != link.Secured {
			t.Errorf("%+v", last.Sessions)
		}
		tt := last.Totals
		if tt.Events[audit.LockProved] != 1 || tt.Events[audit.LockRequested] != 1 || tt.Events[audit.LockFailed] != 0 ||
			len(tt.Locks) != 1 || tt.Locks[0] != (link.LockTotal{Rung: "logind", Proof: "locker", N: 1}) || tt.LastLockMS == 0 {
			t.Errorf("%+v", tt)
		}
		if tt.LateMaxMS != 300 || tt.LateSumMS != 300 || tt.Late[2] != 1 { // between 250 ms and 1 s
			t.Errorf("late: %v, max %d ms, sum %d ms", tt.Late, tt.LateMaxMS, tt.LateSumMS)
		}
		if tt.Late[0] = 99; w.e.totals.Late[0] == 99 {
			t.Error("what was published is the loop's own")
		}
	})
}

func TestLatenessIsSortedIntoItsBucket(t *testing.T) {
	var tt totals
	tt.count(audit.Event{})
	for _, ms := range []int64{0, 50, 51, 250, 999, 1000, 5000, 14_999, 60_000, 60_001, 1 << 40} {
		tt.late(ms)
	}
	want := []uint64{2, 2, 2, 1, 1, 1, 2}
	for i, n := range want {
		if tt.Late[i] != n {
			t.Errorf("buckets %v, want %v", tt.Late, want)
			break
		}
	}
}
