package torture

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"stepaway/audit"
)

func cp(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v\n%s", err, out)
	}
}

// seen is what the collector holds, by epoch.
type seen struct {
	epochs map[string]uint64 // last number
	first  map[string]audit.Type
	proved map[uint64]int // events of the enforcer, by number
	own    []kept         // what the spool said of itself
}

func (w *world) seen() *seen {
	w.t.Helper()
	s := &seen{epochs: map[string]uint64{}, first: map[string]audit.Type{}, proved: map[uint64]int{}}
	w.collected(func(e kept) {
		if e.Device != "ws-1" {
			return
		}
		if e.Seq != s.epochs[e.Epoch]+1 {
			w.t.Errorf("number %d of epoch %s after %d", e.Seq, e.Epoch, s.epochs[e.Epoch])
		}
		if e.Seq == 1 {
			s.first[e.Epoch] = e.Type
		}
		s.epochs[e.Epoch] = e.Seq
		switch e.Type {
		case audit.LockProved:
			s.proved[e.N]++
		case audit.SpoolRollback, audit.SpoolGap, audit.SpoolQuarantined, audit.SpoolFull, audit.SpoolFailed:
			s.own = append(s.own, e)
		}
	})
	return s
}

// TestRestoredCopy: a spool that was copied, and put back after more was written and acknowledged, goes on in a new epoch that
// begins by saying so. No number is used twice and nothing is lost, whether the note beside the spool was put back as well or
// not: without it the collector is the one who notices.
func TestRestoredCopy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		restore func(t *testing.T, copy, spool string)
		code    audit.Label // of the rollback
		gap     bool        // the copy does not know of the 40 events, and says so
		forks   bool        // what was sent before anybody noticed is evidence at the collector
	}{
		"the file": {func(t *testing.T, copy, spool string) {
			cp(t, filepath.Join(copy, "spool.db"), filepath.Join(spool, "spool.db"))
		}, "older", true, false},
		"the whole directory": {func(t *testing.T, copy, spool string) {
			if err := os.RemoveAll(spool); err != nil {
				t.Fatal(err)
			}
			cp(t, copy, spool)
		}, "fork", true, true},
		"an empty directory": {func(t *testing.T, _, spool string) {
			if err := os.Remove(filepath.Join(spool, "spool.db")); err != nil {
				t.Fatal(err)
			}
		}, "missing", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, filepath.Join(t.TempDir(), "state"))
			w.startCourier()
			w.add(30, audit.LockProved)
			w.delivered()
			w.stopCourier()
			copy := filepath.Join(t.TempDir(), "copy")
			cp(t, filepath.Join(w.state, "spool"), copy)
			w.startCourier()
			w.add(40, audit.LockProved)
			w.delivered()
			w.stopCourier()
			before := w.seen()
			c.restore(t, copy, filepath.Join(w.state, "spool"))
			w.startCourier()
			w.add(50, audit.LockProved)
			w.delivered()
			out, _, code := w.call("collector", "verify", "--data", w.data)
			if (code != 0) != c.forks || strings.Contains(out, "fork") != c.forks {
				t.Errorf("verify: %d, %s", code, out)
			}
			after := w.seen()
			if len(after.epochs) != len(before.epochs)+1 {
				t.Errorf("epochs %v, before %v", after.epochs, before.epochs)
			}
			for epoch, last := range before.epochs {
				if after.epochs[epoch] != last {
					t.Errorf("epoch %s went on from %d to %d", epoch, last, after.epochs[epoch])
				}
			}
			var rollbacks, gaps int
			for _, e := range after.own {
				f := e.Facts
				switch {
				case e.Type == audit.SpoolRollback && f.Code == c.code && e.Seq == 1 && before.epochs[string(f.Ref)] > 0:
					rollbacks++
				case e.Type == audit.SpoolGap && f.From == 31 && f.To == 70 && f.Count == 40:
					gaps++
				default:
					t.Errorf("%s %+v", e.Type, *f)
				}
			}
			if rollbacks != 1 || (gaps == 1) != c.gap || gaps > 1 {
				t.Errorf("%d rollbacks with %q, %d gaps\n%s", rollbacks, c.code, gaps, w.log.String())
			}
			for n := uint64(1); n <= 120; n++ {
				if after.proved[n] != 1 {
					t.Errorf("event %d is there %d times", n, after.proved[n])
				}
			}
		})
	}
}
