package torture

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/courier"
	"stepaway/spool"
)

// prefill writes n events into the spool of a courier that does not run, as if they had come over weeks offline.
func (w *world) prefill(n uint64, maxBytes int64, facts *audit.Facts) {
	w.t.Helper()
	id, err := courier.LoadIdentity(filepath.Join(w.state, "identity"))
	if err != nil {
		w.t.Fatal(err)
	}
	s, _, err := spool.Open(filepath.Join(w.state, "spool"), spool.Options{Device: id.Device, Bound: id.Bound(), MaxBytes: maxBytes})
	if err != nil {
		w.t.Fatal(err)
	}
	for i := uint64(0); i < n; {
		var es []audit.Event
		for ; len(es) < 1000 && i < n; i++ {
			e := event(audit.LockProved)
			e.Run, e.N, e.Facts = "00c0ffee", i+1, facts
			es = append(es, e)
		}
		if _, _, err := s.Append(es); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		w.t.Fatal(err)
	}
}

// memory is a figure of a process in MB: VmRSS, RssAnon, VmHWM.
func memory(t *testing.T, pid int, name string) float64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == name+":" {
			kb, _ := strconv.ParseFloat(f[1], 64)
			return kb / 1024
		}
	}
	t.Fatalf("no %s", name)
	return 0
}

// drained starts the collector and waits until it has everything, and the file is small again. idle is what the courier takes
// with nothing to do, in MB.
func (w *world) drained(idle float64) {
	t := w.t
	t.Helper()
	pid := w.run.Process.Pid
	full := w.status()
	began := time.Now()
	w.startCollector()
	anon, rss := 0.0, 0.0
	for said := began; w.held() < full.Head; time.Sleep(100 * time.Millisecond) {
		anon, rss = max(anon, memory(t, pid, "RssAnon")), max(rss, memory(t, pid, "VmRSS"))
		if time.Since(said) > 20*time.Second {
			said = time.Now()
			t.Logf("%d of %d delivered", w.held(), full.Head)
		}
		if time.Since(began) > 30*time.Minute {
			t.Fatalf("%d of %d delivered\n%s", w.held(), full.Head, w.log.String())
		}
	}
	took := time.Since(began)
	w.eventually("the file is small", func() bool { return w.status().Bytes <= 16<<20 })
	t.Logf("%d events drained in %.1f s, %.0f a second; file of %d MB now %d kB; courier at most %.1f MB of its own (%.1f when idle), %.1f MB with the file's pages",
		full.Waiting, took.Seconds(), float64(full.Waiting)/took.Seconds(), full.Bytes>>20, w.status().Bytes>>10, anon, idle, rss)
	if anon > 8*idle {
		t.Errorf("the courier took %.1f MB, %.1f when idle", anon, idle)
	}
}

// idle starts the courier, has it deliver something, and stops both: it answers how much memory that takes, in MB.
func (w *world) idle() float64 {
	w.t.Helper()
	w.startCourier()
	w.add(1, audit.LockProved)
	w.delivered()
	idle := memory(w.t, w.run.Process.Pid, "RssAnon")
	w.stopCourier()
	w.stopCollector()
	return idle
}

// TestMillion: what gathered over weeks reaches the collector, each event once and in order, in bounded memory, and the file
// becomes small again. It is more than a spool would take by itself.
func TestMillion(t *testing.T) {
	t.Parallel()
	n := uint64(times(5_000, 1_000_000))
	w := newWorld(t, filepath.Join(t.TempDir(), "state"))
	idle := w.idle()
	w.prefill(n, 4<<30, nil)
	began := time.Now()
	w.startCourier()
	w.eventually("the courier is open", func() bool { return w.status().Waiting >= n })
	t.Logf("open with %d waiting: %.1f s, status included", n, time.Since(began).Seconds())
	w.drained(idle)
	w.verified()
	next := uint64(1)
	w.collected(func(e kept) {
		if e.Run != "00c0ffee" {
			return
		}
		if e.N != next {
			t.Fatalf("event %d where %d was due", e.N, next)
		}
		next++
	})
	if next != n+1 {
		t.Errorf("%d events, want %d", next-1, n)
	}
}

// TestFlood fills the 64 MiB of a spool: what is not critical is dropped and counted, what is critical stays, and the collector
// gets a whole chain that tells exactly what is missing.
func TestFlood(t *testing.T) {
	t.Parallel()
	const before, flood, each = 47_000, 12_000, 100
	word := audit.Label(strings.Repeat("x", 60)) // some hundred bytes more for each event, so that fewer fill the spool
	w := newWorld(t, filepath.Join(t.TempDir(), "state"))
	idle := w.idle()
	w.prefill(before, 0, &audit.Facts{Rung: word, Proof: word, Source: word, Client: word, Key: word, Old: word, New: word})
	w.startCourier()
	first, _, _ := w.outbox.Counts()
	for range flood / each {
		w.add(each-1, audit.WarningShown)
		w.add(1, audit.LockFailed)
	}
	last, _, lost := w.outbox.Counts()
	s := w.status()
	if s.Dropped == 0 || s.Bytes > 64<<20 || lost != 0 || last-first != flood {
		t.Fatalf("%+v, %d to %d, %d lost before", s, first, last, lost)
	}
	w.drained(idle)
	w.delivered()
	w.verified()
	had := map[uint64]bool{}
	prefilled, failed, missing := uint64(0), 0, int64(0)
	var told []string
	w.collected(func(e kept) {
		switch {
		case e.Run == "00c0ffee":
			prefilled++
		case e.Type == audit.SpoolFull || e.Type == audit.SpoolGap:
			told = append(told, fmt.Sprintf("%s %+v", e.Type, *e.Facts))
			if string(e.Facts.Ref) == w.outbox.Run && e.Type == audit.SpoolFull {
				missing += e.Facts.Count
			}
		case e.Run == w.outbox.Run && had[e.N]:
			t.Errorf("event %d twice", e.N)
		case e.Run == w.outbox.Run:
			had[e.N] = true
			if e.Type == audit.LockFailed {
				failed++
			}
		}
	})
	if prefilled != before || failed != flood/each || int64(len(had))+missing != int64(last) || missing != s.Dropped {
		t.Errorf("%d of %d from before, %d of %d critical, %d there and %d told to be missing of %d; status said %d\n%s",
			prefilled, before, failed, flood/each, len(had), missing, last, s.Dropped, strings.Join(told, "\n"))
	}
	t.Logf("%d dropped, %d critical kept", missing, failed)
}
