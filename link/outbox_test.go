package link

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"stepaway/audit"
)

func critical() audit.Event { return audit.Event{Type: audit.LockProved} }
func routine() audit.Event  { return audit.Event{Type: audit.WarningShown} }

func numbers(es []audit.Event) []uint64 {
	var ns []uint64
	for _, e := range es {
		ns = append(ns, e.N)
	}
	return ns
}

func counts(t *testing.T, o *Outbox, last uint64, waiting int, dropped uint64) {
	t.Helper()
	if l, w, d := o.Counts(); l != last || w != waiting || d != dropped {
		t.Errorf("counts %d, %d, %d, want %d, %d, %d", l, w, d, last, waiting, dropped)
	}
}

func TestOutboxNumbersAndForgets(t *testing.T) {
	if !audit.Critical(critical().Type) || audit.Critical(routine().Type) {
		t.Fatal("the types of this test are not what it takes them for")
	}
	o := NewOutbox("ab")
	counts(t, o, 0, 0, 0)
	for range 10 {
		o.Add(audit.Event{Type: audit.WarningShown, Run: "forged", N: 99})
	}
	all, _ := o.After(0, 100)
	if !slices.Equal(numbers(all), []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}) || all[0].Run != "ab" {
		t.Errorf("events %v of run %q", numbers(all), all[0].Run)
	}
	for _, c := range []struct {
		after uint64
		most  int
		want  []uint64
	}{{0, 3, []uint64{1, 2, 3}}, {8, 100, []uint64{9, 10}}, {10, 100, nil}, {11, 100, nil}, {0, 0, nil}} {
		if got, _ := o.After(c.after, c.most); !slices.Equal(numbers(got), c.want) {
			t.Errorf("After(%d, %d) = %v, want %v", c.after, c.most, numbers(got), c.want)
		}
	}
	for _, s := range []Stored{{"ac", 10}, {"", 10}, {"ab", 11}, {"ab", 1 << 63}, {"ab", 0}} {
		o.Stored(s)
		counts(t, o, 10, 10, 0)
	}
	o.Stored(Stored{"ab", 4})
	counts(t, o, 10, 6, 0)
	o.Stored(Stored{"ab", 2}) // an old word changes nothing
	counts(t, o, 10, 6, 0)
	o.Stored(Stored{"ab", 10})
	counts(t, o, 10, 0, 0)
	o.Add(routine())
	if got, _ := o.After(0, 9); !slices.Equal(numbers(got), []uint64{11}) {
		t.Errorf("after all were stored: %v", numbers(got))
	}
}

func TestOutboxTellsOfMore(t *testing.T) {
	o := NewOutbox("ab")
	_, more := o.After(0, 1)
	select {
	case <-more:
		t.Fatal("told of nothing")
	default:
	}
	o.Add(routine())
	<-more
	got, more := o.After(1, 1)
	select {
	case <-more:
		t.Fatal("told twice")
	default:
	}
	if len(got) != 0 {
		t.Errorf("events %v", numbers(got))
	}
}

func TestFullOutboxDropsRoutineFirst(t *testing.T) {
	o := NewOutbox("ab")
	o.Add(critical()) // 1
	o.Add(routine())  // 2
	o.Add(critical()) // 3
	o.Add(routine())  // 4
	for range OutboxSize - 4 {
		o.Add(critical())
	}
	counts(t, o, OutboxSize, OutboxSize, 0)
	head := func(want ...uint64) {
		t.Helper()
		if got, _ := o.After(0, len(want)); !slices.Equal(numbers(got), want) {
			t.Errorf("oldest are %v, want %v", numbers(got), want)
		}
	}
	o.Add(critical())
	head(1, 3, 4, 5)
	o.Add(critical())
	head(1, 3, 5, 6)
	counts(t, o, OutboxSize+2, OutboxSize, 2)
	o.Add(routine()) // only it is not critical: it goes itself
	head(1, 3, 5, 6)
	counts(t, o, OutboxSize+3, OutboxSize, 3)
	o.Add(critical())
	head(3, 5, 6, 7)
	counts(t, o, OutboxSize+4, OutboxSize, 4)
	if all, _ := o.After(0, OutboxSize+9); all[len(all)-1].N != OutboxSize+4 {
		t.Errorf("newest is %d", all[len(all)-1].N)
	}
}

// TestOutboxCountsExactly: whatever happens, every number is waiting, stored or dropped.
func TestOutboxCountsExactly(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	o, stored := NewOutbox("ab"), uint64(0)
	for range 7000 {
		switch r.IntN(8) {
		case 0:
			if stored < o.next && r.IntN(200) == 0 {
				_, before, _ := o.Counts()
				o.Stored(Stored{"ab", o.next - uint64(r.IntN(OutboxSize))})
				_, after, _ := o.Counts()
				stored += uint64(before - after)
			}
		case 1, 2, 3:
			o.Add(critical())
		default:
			o.Add(routine())
		}
		if last, waiting, dropped := o.Counts(); last != stored+dropped+uint64(waiting) || waiting > OutboxSize {
			t.Fatalf("last %d, stored %d, waiting %d, dropped %d", last, stored, waiting, dropped)
		}
	}
	all, _ := o.After(0, OutboxSize)
	if !slices.IsSortedFunc(all, func(a, b audit.Event) int { return int(a.N) - int(b.N) }) {
		t.Error("out of order")
	}
}

func TestOutboxConcurrently(t *testing.T) {
	o := NewOutbox("ab")
	const adders, each = 8, 1000
	var adding, reading sync.WaitGroup
	for range adders {
		adding.Go(func() {
			for range each {
				o.Add(critical())
			}
		})
	}
	var seen []uint64
	reading.Go(func() {
		for last := uint64(0); last < adders*each; {
			got, more := o.After(last, 50)
			if len(got) == 0 {
				<-more
				continue
			}
			seen = append(seen, numbers(got)...)
			last = got[len(got)-1].N
			o.Stored(Stored{"ab", last})
		}
	})
	adding.Wait()
	reading.Wait()
	last, waiting, dropped := o.Counts()
	if last != adders*each || waiting != 0 || uint64(len(seen))+dropped < last { // one that is read and not yet stored may still be dropped
		t.Errorf("last %d, waiting %d, dropped %d, seen %d", last, waiting, dropped, len(seen))
	}
	if !slices.IsSorted(seen) || len(slices.Compact(seen)) != len(seen) {
		t.Error("read out of order or twice")
	}
}
