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
func (w *world) prefill(n uint64, maxBytes int64, typ func(uint64) audit.Type) {
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
			e := event(typ(i + 1))
			e.Run, e.N = "00c0ffee", i+1
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

// TestDrain: what gathered over weeks reaches the collector, each event once and in order, in bounded memory, and the file
// becomes small again.
func TestDrain(t *testing.T) {
	n := uint64(times(50_000, 1_000_000))
	w := newWorld(t, filepath.Join(t.TempDir(), "state"))
	w.startCourier()
	w.add(1, audit.LockProved)
	w.delivered()
	idle := memory(t, w.run.Process.Pid, "RssAnon")
	w.stopCourier()
	w.stopCollector()
	w.prefill(n, 4<<30, func(uint64) audit.Type { return audit.LockProved })
	began := time.Now()
	w.startCourier()
	w.eventually("the courier is open", func() bool { return w.status().Waiting >= n })
	full := w.status()
	t.Logf("open with %d waiting, in %d MB: %.1f s, status included", n, full.Bytes>>20, time.Since(began).Seconds())
	began = time.Now()
	w.startCollector()
	anon, rss := 0.0, 0.0
	for said := began; w.held() < full.Head; time.Sleep(100 * time.Millisecond) {
		anon = max(anon, memory(t, w.run.Process.Pid, "RssAnon"))
		rss = max(rss, memory(t, w.run.Process.Pid, "VmRSS"))
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
	t.Logf("drained in %.1f s, %.0f events/s; file %d kB; courier at most %.1f MB of its own (%.1f when idle), %.1f MB with pages of the file",
		took.Seconds(), float64(n)/took.Seconds(), w.status().Bytes>>10, anon, idle, rss)
	if anon > 8*idle {
		t.Errorf("the courier took %.1f MB, %.1f when idle", anon, idle)
	}
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
