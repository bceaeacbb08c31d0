package torture

import (
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"stepaway/audit"
	"stepaway/test/disk"
)

// TestDiskTrouble lets the disk under a running courier fail in different ways and be well again: what the agent gives out
// meanwhile waits with the agent, which is told; afterwards everything is stored and delivered, once and in order, by the same
// process, with an event about it.
func TestDiskTrouble(t *testing.T) {
	t.Parallel()
	f := disk.NewFaulty(t)
	w := newWorld(t, filepath.Join(f.Dir, "state"))
	w.startCourier()
	w.add(20, audit.LockProved)
	w.delivered()
	pid := w.run.Process.Pid
	for name, errno := range map[string]syscall.Errno{"full": unix.ENOSPC, "read-only": unix.EROFS, "broken": unix.EIO} {
		var refused atomic.Int64
		f.Before(func(op disk.Op) (int, syscall.Errno) {
			if !strings.HasPrefix(op.Path, "state/spool/") {
				return 0, 0
			}
			refused.Add(1)
			return 0, errno
		})
		for range 30 {
			w.outbox.Add(event(audit.LockProved))
		}
		w.eventually(name+": the agent is told", func() bool { s := w.heard.Load(); return s != nil && s.Code == "spool" })
		if _, waiting, _ := w.outbox.Counts(); waiting != 30 || refused.Load() == 0 {
			t.Errorf("%s: %d wait with the agent, %d changes refused", name, waiting, refused.Load())
		}
		f.Before(nil)
		w.eventually(name+": every event is stored", func() bool { _, waiting, _ := w.outbox.Counts(); return waiting == 0 })
		w.eventually(name+": the agent is told that it is over", func() bool { return w.heard.Load().Code != "spool" })
		w.delivered()
	}
	if w.run.Process.Pid != pid || unix.Kill(pid, 0) != nil {
		t.Error("the courier did not live through it")
	}
	w.verified()
	s := w.seen()
	for n := uint64(1); n <= 110; n++ {
		if s.proved[n] != 1 {
			t.Errorf("event %d is there %d times", n, s.proved[n])
		}
	}
	failed := 0
	for _, e := range s.own {
		if e.Type == audit.SpoolFailed && e.Facts.Count > 0 && *e.Facts.LateMS > 0 {
			failed++
		} else {
			t.Errorf("%s %+v", e.Type, *e.Facts)
		}
	}
	if failed != 3 || len(s.epochs) != 1 {
		t.Errorf("%d events about three failures, %d epochs\n%s", failed, len(s.epochs), w.log.String())
	}
}
