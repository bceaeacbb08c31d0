package spool

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"stepaway/audit"
)

// harmed is a sound spool to be damaged: its file, the note beside it, an earlier copy of the file, and the file of another spool.
type harmed struct {
	good, note, old, other []byte
	epoch                  string
	want                   [][]byte // its events
}

// damages are the ways in which a file is changed.
var damages = []struct {
	name string
	do   func(r *rand.Rand, h *harmed, b []byte) []byte
}{
	{"truncated", func(r *rand.Rand, _ *harmed, b []byte) []byte { return b[:1+r.IntN(len(b)-1)] }},
	{"truncated to a page", func(r *rand.Rand, _ *harmed, b []byte) []byte { return b[:(1+r.IntN(len(b)/4096-1))*4096] }},
	{"bit", func(r *rand.Rand, _ *harmed, b []byte) []byte { b[r.IntN(len(b))] ^= 1 << r.IntN(8); return b }},
	{"bits", func(r *rand.Rand, _ *harmed, b []byte) []byte {
		for range 20 {
			b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		}
		return b
	}},
	{"zero page", func(r *rand.Rand, _ *harmed, b []byte) []byte { clear(page(r, b)); return b }},
	{"zeros to the end", func(r *rand.Rand, _ *harmed, b []byte) []byte { clear(b[r.IntN(len(b)/4096)*4096:]); return b }},
	{"garbage page", func(r *rand.Rand, _ *harmed, b []byte) []byte { garble(r, page(r, b)); return b }},
	{"garbage beyond the end", func(r *rand.Rand, _ *harmed, b []byte) []byte {
		more := make([]byte, 4096)
		garble(r, more)
		return append(b, more...)
	}},
	{"swapped pages", func(r *rand.Rand, _ *harmed, b []byte) []byte {
		p, q := page(r, b), page(r, b)
		kept := bytes.Clone(p)
		copy(p, q)
		copy(q, kept)
		return b
	}},
	{"page header", func(r *rand.Rand, _ *harmed, b []byte) []byte { garble(r, page(r, b)[:64]); return b }},
	{"both metas", func(r *rand.Rand, _ *harmed, b []byte) []byte { garble(r, b[:8192]); return b }},
	{"pages of another spool", func(r *rand.Rand, h *harmed, b []byte) []byte { return mixed(r, b, h.other) }},
	{"pages of an old copy", func(r *rand.Rand, h *harmed, b []byte) []byte { return mixed(r, b, h.old) }},
	{"another spool", func(_ *rand.Rand, h *harmed, _ []byte) []byte { return bytes.Clone(h.other) }},
	{"an old copy", func(_ *rand.Rand, h *harmed, _ []byte) []byte { return bytes.Clone(h.old) }},
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

// mixed puts some pages of from at their places in b.
func mixed(r *rand.Rand, b, from []byte) []byte {
	for at := 0; at+4096 <= min(len(b), len(from)); at += 4096 {
		if r.IntN(4) == 0 {
			copy(b[at:at+4096], from[at:])
		}
	}
	return b
}

// TestDamagedFiles changes a file in many ways. Each time the spool opens and works; either every event is as it was written, or
// the first event of a new epoch says so, and a file that cannot be used was set aside as it is.
func TestDamagedFiles(t *testing.T) {
	h := toHarm(t)
	check := InChild(courier(t), "check-spool")
	n := times(1000, 5000)
	var mu sync.Mutex
	counts := map[string][2]int{} // unnoticed since harmless, noticed
	done := 0
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := worker; i < n; i += 4 {
				d := damages[i%len(damages)]
				bad := d.do(rand.New(rand.NewPCG(uint64(i), 7)), h, bytes.Clone(h.good))
				noticed := h.open(t, fmt.Sprintf("%s %d", d.name, i), bad, check)
				mu.Lock()
				c := counts[d.name]
				c[noticed]++
				counts[d.name] = c
				done++
				progress(t, done, n)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for _, d := range damages {
		c := counts[d.name]
		t.Logf("%-24s %4d harmless, %4d noticed", d.name, c[0], c[1])
		if c[1] == 0 && d.name != "garbage beyond the end" {
			t.Errorf("%s: never noticed", d.name)
		}
	}
}

// courier builds the courier, whose child looks at files in the product.
func courier(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stepaway-courier")
	if out, err := exec.Command("go", "build", "-o", path, "stepaway/cmd/courier").CombinedOutput(); err != nil {
		t.Fatalf("build the courier: %v\n%s", err, out)
	}
	return path
}

func toHarm(t *testing.T) *harmed {
	t.Helper()
	h := &harmed{}
	fill := func(run string, between func(path string)) (dir string) {
		dir = memory(t)
		s, r := open(t, dir, Options{})
		for i := range uint64(30) {
			mustAppend(t, s, events(run, i*10+1, i*10+10)...)
			if i == 20 {
				between(filepath.Join(dir, fileName))
			}
		}
		rs, err := s.Next(0, 120, 1<<20)
		must(t, err)
		must(t, s.Ack(120, rs[119].Hash, ""))
		h.epoch, h.want = r.Epoch, bodies(t, s)
		closeSpool(t, s)
		return dir
	}
	read := func(to *[]byte) func(string) {
		return func(path string) {
			b, err := os.ReadFile(path)
			must(t, err)
			*to = b
		}
	}
	read(&h.other)(filepath.Join(fill("b", func(string) {}), fileName))
	dir := fill("a", read(&h.old))
	read(&h.good)(filepath.Join(dir, fileName))
	read(&h.note)(filepath.Join(dir, ackName))
	return h
}

// open opens the damaged file and answers 1 if that was noticed.
func (h *harmed) open(t *testing.T, name string, bad []byte, check func(string) (Found, error)) (noticed int) {
	t.Helper()
	dir := memory(t)
	defer os.RemoveAll(dir)
	write(t, filepath.Join(dir, fileName), bad, 0o600)
	write(t, filepath.Join(dir, ackName), h.note, 0o600)
	s, r, err := Open(dir, Options{Check: check})
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return 0
	}
	defer closeSpool(t, s)
	switch r.Code {
	case "":
		if !sameBodies(bodies(t, s), h.want) {
			t.Errorf("%s: changed and yet taken", name)
		}
	case "older":
		noticed = 1
		if e := all(t, s)[0]; e.Type != audit.SpoolRollback || r.Epoch == h.epoch || len(asides(t, dir)) != 0 {
			t.Errorf("%s: %+v, %v", name, r, words(all(t, s)))
		}
	default:
		noticed = 1
		h.aside(t, name, dir, s, r, bad)
	}
	if _, _, err := s.Append(events("a", 301, 310)); err != nil {
		t.Errorf("%s: append after it: %v", name, err)
	}
	return noticed
}

// aside wants the file out of the way and whole, and a new epoch that begins by saying so.
func (h *harmed) aside(t *testing.T, name, dir string, s *Spool, r Report, bad []byte) {
	t.Helper()
	e := all(t, s)[0]
	if e.Type != audit.SpoolQuarantined || string(e.Facts.Ref) != h.epoch || r.Before != h.epoch || r.Epoch == h.epoch {
		t.Errorf("%s: %+v, %v", name, r, words(all(t, s)))
	}
	files := asides(t, dir)
	if len(files) != 1 {
		t.Errorf("%s: set aside: %v", name, files)
		return
	}
	if b, err := os.ReadFile(files[0]); err != nil || !bytes.Equal(b, bad) {
		t.Errorf("%s: the file that was set aside is not the damaged one: %v", name, err)
	}
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
