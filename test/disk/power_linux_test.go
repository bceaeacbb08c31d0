package disk

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPower: what was synced is there after any later cut, and what was not is lost by some.
func TestPower(t *testing.T) {
	p := NewPower(t)
	synced, loose := filepath.Join(p.Dir, "synced"), filepath.Join(p.Dir, "loose")
	run(t, "dd", "if=/dev/zero", "of="+synced, "bs=4096", "count=3", "conv=fsync")
	from := p.Now()
	run(t, "dd", "if=/dev/zero", "of="+loose, "bs=4096", "count=3")
	p.Sync()
	run(t, "sync", p.Dir)
	l := p.Stop()
	if l.Flushes() < 2 {
		t.Errorf("%d requests, %d flushes", l.Len(), l.Flushes())
	}
	lost := 0
	for at := from; at <= l.Len(); at++ {
		l.Cut(t, at, rand.New(rand.NewPCG(uint64(at), 1)), func(dir string) {
			if info, err := os.Stat(filepath.Join(dir, "synced")); err != nil || info.Size() != 3*4096 {
				t.Errorf("cut at %d: %v", at, err)
			}
			if _, err := os.Stat(filepath.Join(dir, "loose")); err != nil {
				lost++
			}
		})
	}
	if lost == 0 {
		t.Errorf("nothing was lost in %d cuts", l.Len()-from+1)
	}
	t.Logf("%d of %d cuts lost what was not synced", lost, l.Len()-from+1)
}

func run(t *testing.T, program string, args ...string) {
	t.Helper()
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
}
