package spool

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"stepaway/test/disk"
)

// asScripted runs in a child: each step until it succeeds, as the courier would. A spool that is damaged is opened again.
func asScripted(dir string) error {
	w := &worker{dir: dir, compactOver: 16 << 10}
	run := fmt.Sprintf("%016x", rand.Uint64())
	if err := w.try(w.open); err != nil {
		return err
	}
	append := func(from, to uint64) func() error {
		return func() error {
			if _, _, err := w.s.Append(events(run, from, to)); err != nil {
				return err
			}
			for ; from <= to; from++ {
				w.tell("stored %s/%d", run, from)
			}
			return nil
		}
	}
	for _, step := range []func() error{append(1, 3), append(4, 4), w.acks(3), append(5, 30), w.acks(100), append(31, 33),
		w.fork, append(34, 40), w.acks(4), append(41, 41)} {
		if err := w.try(step); err != nil {
			return err
		}
	}
	if err := w.s.Close(); err != nil {
		w.tell("error %q", err) // the note beside the file is behind, as after a kill
	}
	return nil
}

func (w *worker) acks(n int) func() error { return func() error { return w.ack(n) } }

// plan says what becomes of the n-th change of a file system.
type plan struct {
	name  string
	part  int // of a write that fails, so many bytes are written
	errs  syscall.Errno
	lasts int // so many changes fail

	stride int // in the short run only every so many changes are the first that fails
}

var plans = []plan{
	{"EIO once", 0, unix.EIO, 1, 1},
	{"EIO in the middle of a page", 700, unix.EIO, 1, 5},
	{"EIO five times", 0, unix.EIO, 5, 5},
	{"disk full for a while", 1000, unix.ENOSPC, 9, 5},
	{"read-only for a while", 0, unix.EROFS, 40, 5},
}

// TestEveryChangeFails lets each single write, sync, rename and so on of a short life fail, in several ways: it goes on when
// the disk does, and nothing that was told is lost or there twice.
func TestEveryChangeFails(t *testing.T) {
	for _, p := range plans {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			f := disk.NewFaulty(t)
			total := len(changes(t, f))
			for n := 1; n <= total; n += times(p.stride, 1) {
				l, count := newLedger(), 0
				f.Clear()
				f.Before(func(op disk.Op) (int, syscall.Errno) {
					if count++; count >= n && count < n+p.lasts {
						return p.part, p.errs
					}
					return 0, 0
				})
				c := startWorker(t, asScript, filepath.Join(f.Dir, "spool"), l.line)
				c.wait(t)
				f.Before(nil)
				settle(t, f, l)
				if len(l.wrong) > 0 || len(l.order) != 41 || l.errors == 0 {
					t.Errorf("change %d of %d: %d events, %d errors, %v", n, total, len(l.order), l.errors, l.wrong)
				}
			}
			t.Logf("%d changes", total)
		})
	}
}

// changes runs the script once and lists what it asked of the file system.
func changes(t *testing.T, f *disk.Faulty) (list []string) {
	t.Helper()
	f.Before(func(op disk.Op) (int, syscall.Errno) {
		list = append(list, op.Kind+" "+op.Path)
		return 0, 0
	})
	l := newLedger()
	c := startWorker(t, asScript, filepath.Join(f.Dir, "spool"), l.line)
	c.wait(t)
	f.Before(nil)
	settle(t, f, l)
	if len(l.wrong) > 0 || len(l.order) != 41 || len(list) < 40 {
		t.Fatalf("without a fault: %d events, %d changes, %v", len(l.order), len(list), l.wrong)
	}
	return list
}

// settle opens a copy of what is on the file system, and compares it.
func settle(t *testing.T, f *disk.Faulty, l *ledger) {
	t.Helper()
	dir := memory(t)
	must(t, f.Copy(dir))
	l.after(t, filepath.Join(dir, "spool"))
}

// TestEveryCrash kills the process before each single change, and then lets a second one live to its end.
func TestEveryCrash(t *testing.T) {
	f := disk.NewFaulty(t)
	total := len(changes(t, f))
	for n := 1; n <= total; n += times(2, 1) {
		l := newLedger()
		f.Clear()
		crashAt(t, f, n, l, nil)
		c := startWorker(t, asScript, filepath.Join(f.Dir, "spool"), l.line)
		c.wait(t)
		settle(t, f, l)
		if len(l.wrong) > 0 {
			t.Errorf("killed before change %d of %d: %v", n, total, l.wrong)
		}
	}
	t.Logf("%d changes", total)
}

// crashAt runs the script and kills it before its n-th change. What it did before is durable as d says, if there is one.
func crashAt(t *testing.T, f *disk.Faulty, n int, l *ledger, d *disk.Durable) {
	t.Helper()
	count := 0
	reached := make(chan struct{})
	f.Before(func(op disk.Op) (int, syscall.Errno) {
		count++
		switch {
		case count == n:
			close(reached)
			fallthrough
		case count > n:
			return 0, unix.EIO
		case d != nil:
			d.Do(op)
		}
		return 0, 0
	})
	c := startWorker(t, asScript, filepath.Join(f.Dir, "spool"), l.line)
	select {
	case <-reached:
	case <-c.done:
	}
	c.kill(t)
	f.Before(nil)
}

// TestCrashThenPowerCut kills the process before each single sync of the spool's file, lets a second one open it, and then takes
// back what was not synced: what the second one had told of is there.
func TestCrashThenPowerCut(t *testing.T) {
	f := disk.NewFaulty(t)
	for i, what := range changes(t, f) {
		if what != disk.Sync+" spool/"+fileName {
			continue
		}
		l, d := newLedger(), disk.NewDurable()
		f.Clear()
		crashAt(t, f, i+1, l, d)
		f.Before(func(op disk.Op) (int, syscall.Errno) { d.Do(op); return 0, 0 })
		opened := make(chan struct{})
		c := startWorker(t, asOpener, filepath.Join(f.Dir, "spool"), func(text string) {
			if l.line(text); text == "end" {
				close(opened)
			}
		})
		select {
		case <-opened:
		case <-c.done:
		}
		c.kill(t)
		f.Before(nil)
		dir := memory(t)
		must(t, d.Copy(dir))
		l.after(t, filepath.Join(dir, "spool"))
		if len(l.wrong) > 0 {
			t.Errorf("killed before change %d: %v", i+1, l.wrong)
		}
	}
}
