package spool

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stepaway/test/disk"
)

// stamped is a line of a worker, and how many requests the disk had had when it came.
type stamped struct {
	at   int
	text string
}

// recorded is what workers did on a disk that can be cut.
type recorded struct {
	log   *disk.Log
	lines []stamped
}

// onPower lets workers use a spool on a recorded disk, one after the other, each killed in the middle. The kernel writes out
// what nobody synced at moments of its own.
func onPower(t *testing.T, verb string, workers int, p *disk.Power) recorded {
	t.Helper()
	var mu sync.Mutex
	var rec recorded
	for range workers {
		c := startWorker(t, verb, filepath.Join(p.Dir, "spool"), func(text string) {
			mu.Lock()
			defer mu.Unlock()
			rec.lines = append(rec.lines, stamped{p.Now(), text})
		})
		for end := time.Now().Add(700 * time.Millisecond); time.Now().Before(end); p.Sync() {
			time.Sleep(rand.N(200 * time.Millisecond))
		}
		c.kill(t)
	}
	rec.log = p.Stop()
	return rec
}

// ledgerAt is what was known when the disk had had so many requests.
func (rec recorded) ledgerAt(at int) *ledger {
	l := newLedger()
	for _, s := range rec.lines {
		if s.at > at {
			break
		}
		l.line(s.text)
	}
	return l
}

// anywhere chooses n moments.
func (rec recorded) anywhere(n int) (ats []int) {
	for range n {
		ats = append(ats, 1+rand.IntN(rec.log.Len()-1))
	}
	return ats
}

// cut lets the power go at some moments, every second of them with a device that loses and tears what was not flushed, opens
// what is left and says what is wrong with it.
func (rec recorded) cut(t *testing.T, ats []int) (wrong []string) {
	t.Helper()
	n := len(ats)
	slices.Sort(ats)
	for i, at := range ats {
		at = min(at, rec.log.Len())
		seed := rand.Uint64()
		var r *rand.Rand
		if i%2 == 1 {
			r = rand.New(rand.NewPCG(seed, 0))
		}
		l := rec.ledgerAt(at)
		if len(l.wrong) > 0 {
			t.Fatalf("before any cut: %v", l.wrong)
		}
		rec.log.Cut(t, at, r, func(dir string) {
			l.after(t, filepath.Join(dir, "spool"))
		})
		if len(l.wrong) > 0 {
			wrong = append(wrong, fmt.Sprintf("cut at %d of %d, seed %d: %s", at, rec.log.Len(), seed, strings.Join(l.wrong, "; ")))
		}
		progress(t, i+1, n)
	}
	return wrong
}

// after opens the spool in dir in a child and compares it.
func (l *ledger) after(t *testing.T, dir string) {
	t.Helper()
	var lines []string
	c := startWorker(t, asLooker, dir, func(text string) { lines = append(lines, text) })
	c.wait(t)
	for _, text := range lines {
		l.line(text)
	}
	if len(lines) == 0 || lines[len(lines)-1] != "end" {
		l.bad("the spool could not be opened")
	}
}

// TestPowerCuts: whatever was told is there after a power cut.
func TestPowerCuts(t *testing.T) {
	rec := onPower(t, asWriter, times(3, 12), disk.NewPower(t))
	cuts := times(30, 600)
	wrong := rec.cut(t, rec.anywhere(cuts))
	for _, w := range wrong {
		t.Error(w)
	}
	l := rec.ledgerAt(rec.log.Len())
	t.Logf("%d cuts, %d wrong: %d events, %d acknowledged, %d epochs, %d compactions, %d requests, %d flushes", cuts, len(wrong),
		len(l.order), l.acked, l.forks, l.compact, rec.log.Len(), rec.log.Flushes())
	if l.acked == 0 { // whether the file was compacted too, in so short a time, depends on the machine
		t.Error("nothing was acknowledged")
	}
}

// TestPowerCutsAreNoticed: the same cuts find a spool that does not sync.
func TestPowerCutsAreNoticed(t *testing.T) {
	rec := onPower(t, asUnsafe, 1, disk.NewPower(t))
	cuts := times(30, 200)
	wrong := rec.cut(t, rec.anywhere(cuts))
	if len(wrong) < cuts/3 {
		t.Errorf("%d of %d cuts found a spool without syncs", len(wrong), cuts)
	}
	t.Logf("%d of %d cuts found it, such as: %s", len(wrong), cuts, wrong[:min(1, len(wrong))])
}

// magic is in each of bbolt's meta pages, the page that makes a commit valid.
var magic = binary.NativeEndian.AppendUint32(nil, 0xED0CDAED)

// TestPowerCutsAfterFailedWrites: one write in thirty of such a page fails. The kernel says so once and takes the page for
// written. What was told is there all the same after a power cut soon after.
func TestPowerCutsAfterFailedWrites(t *testing.T) {
	p := disk.NewPower(t)
	var failed []int
	p.Refuse(func(op disk.Op, now int) bool {
		if rand.IntN(30) > 0 || !bytes.Contains(op.Data, magic) {
			return false
		}
		failed = append(failed, now)
		return true
	})
	rec := onPower(t, asStubborn, times(2, 8), p)
	var ats []int
	for range times(30, 400) {
		ats = append(ats, failed[rand.IntN(len(failed))]+1+rand.IntN(24))
	}
	wrong := rec.cut(t, ats)
	for _, w := range wrong {
		t.Error(w)
	}
	l := rec.ledgerAt(rec.log.Len())
	t.Logf("%d writes failed, %d errors seen, %d cuts, %d wrong", len(failed), l.errors, len(ats), len(wrong))
	if l.errors == 0 {
		t.Error("no failure was ever seen")
	}
}
