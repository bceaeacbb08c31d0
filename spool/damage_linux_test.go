package spool

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// damages are the ways in which a file is changed.
var damages = []struct {
	name string
	do   func(r *rand.Rand, b []byte) []byte
}{
	{"truncated", func(r *rand.Rand, b []byte) []byte { return b[:1+r.IntN(len(b)-1)] }},
	{"bit", func(r *rand.Rand, b []byte) []byte { b[r.IntN(len(b))] ^= 1 << r.IntN(8); return b }},
	{"zero page", func(r *rand.Rand, b []byte) []byte { clear(page(r, b)); return b }},
	{"garbage page", func(r *rand.Rand, b []byte) []byte { garble(r, page(r, b)); return b }},
	{"swapped pages", func(r *rand.Rand, b []byte) []byte {
		p, q := page(r, b), page(r, b)
		kept := bytes.Clone(p)
		copy(p, q)
		copy(q, kept)
		return b
	}},
	{"page header", func(r *rand.Rand, b []byte) []byte { garble(r, page(r, b)[:64]); return b }},
}

func page(r *rand.Rand, b []byte) []byte {
	at := r.IntN(len(b)/4096) * 4096
	return b[at : at+4096]
}

func garble(r *rand.Rand, b []byte) {
	for i := range b {
		b[i] = byte(r.Uint32())
	}
}

// TestDamagedFiles changes a file in 300 ways. Each time the spool opens and works; either every event is
// as it was written, or the file was set aside and the first event of a new epoch says so.
func TestDamagedFiles(t *testing.T) {
	dir := memory(t)
	s, r := open(t, dir, Options{})
	for i := range uint64(30) {
		mustAppend(t, s, events("a", i*10+1, i*10+10)...)
	}
	rs, _ := s.Next(0, 120, 1<<20)
	must(t, s.Ack(120, rs[119].Hash, ""))
	want := bodies(t, s)
	closeSpool(t, s)
	good, err := os.ReadFile(filepath.Join(dir, fileName))
	must(t, err)
	note, err := os.ReadFile(filepath.Join(dir, ackName))
	must(t, err)
	counts := map[string]int{}
	for i := range 300 {
		d := damages[i%len(damages)]
		bad := d.do(rand.New(rand.NewPCG(uint64(i), 7)), bytes.Clone(good))
		noticed := openDamaged(t, fmt.Sprintf("%s %d", d.name, i), bad, note, r.Epoch, want)
		counts[fmt.Sprintf("%s, noticed %v", d.name, noticed)]++
	}
	t.Log(counts)
}

func openDamaged(t *testing.T, name string, bad, note []byte, epoch string, want [][]byte) (noticed bool) {
	t.Helper()
	dir := memory(t)
	write(t, filepath.Join(dir, fileName), bad, 0o600)
	write(t, filepath.Join(dir, ackName), note, 0o600)
	s, r, err := Open(dir, Options{Check: inChild(t)})
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return false
	}
	defer closeSpool(t, s)
	if r.Code == "" {
		if !sameBodies(bodies(t, s), want) {
			t.Errorf("%s: changed and yet taken", name)
		}
	} else if e := all(t, s)[0]; string(e.Facts.Ref) != epoch || r.Before != epoch || len(asides(t, dir))+r.rollback() != 1 {
		t.Errorf("%s: %+v, %v, %v", name, r, words(all(t, s)), asides(t, dir))
	}
	if _, _, err := s.Append(events("a", 301, 310)); err != nil {
		t.Errorf("%s: append after it: %v", name, err)
	}
	return r.Code != ""
}

// rollback counts an older state of the file, which stays in place.
func (r Report) rollback() int {
	if r.Code == "older" {
		return 1
	}
	return 0
}

// TestAlteredWhileOpen changes an event under an open spool: the read that meets it fails, and opening
// again sets the file aside.
func TestAlteredWhileOpen(t *testing.T) {
	dir := memory(t)
	s, _ := open(t, dir, Options{})
	mustAppend(t, s, events("a", 1, 200)...)
	path := filepath.Join(dir, fileName)
	b, err := os.ReadFile(path)
	must(t, err)
	at := bytes.Index(b, []byte(`"n":150`))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	for ; at >= 0; at = indexAfter(b, []byte(`"n":150`), at) { // stale copies of the page as well
		_, err = f.WriteAt([]byte(`"n":151`), int64(at))
		must(t, err)
	}
	must(t, f.Close())
	if _, err := s.Next(0, 1000, 1<<20); err == nil {
		t.Fatal("read as if nothing were wrong")
	} else {
		wantErr(t, err, ErrDamaged)
	}
	_, _, err = s.Append(events("a", 201, 201))
	wantErr(t, err, ErrDamaged)
	closeSpool(t, s)
	if _, r := open(t, dir, Options{Check: inChild(t)}); r.Code != "damaged" {
		t.Errorf("%+v", r)
	}
}

func indexAfter(b, sep []byte, at int) int {
	i := bytes.Index(b[at+1:], sep)
	if i < 0 {
		return -1
	}
	return at + 1 + i
}

// TestTruncatedWhileOpen takes the file away under an open spool: a fault, not a crash.
func TestTruncatedWhileOpen(t *testing.T) {
	dir := memory(t)
	s, _ := open(t, dir, Options{})
	mustAppend(t, s, events("a", 1, 2000)...)
	must(t, os.Truncate(filepath.Join(dir, fileName), 8192))
	_, err := s.Next(0, 1000, 1<<20)
	wantErr(t, err, ErrDamaged)
	_, err = s.Next(0, 1000, 1<<20)
	wantErr(t, err, ErrDamaged)
}

func TestCheckThatHangsIsKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	write(t, path, []byte("x"), 0o600)
	began := time.Now()
	_, err := checkInChild(200*time.Millisecond, []string{"/bin/sh", "-c", "sleep 600", path})
	wantErr(t, err, ErrDamaged)
	if took := time.Since(began); took > 60*time.Second {
		t.Errorf("took %v", took)
	}
	if _, err := checkInChild(time.Minute, []string{"/no/such/program", path}); err == nil {
		t.Error("garbage taken when no child could be started")
	}
}
