package torture

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"stepaway/courier"
	"stepaway/durable"
	"stepaway/test/disk"
)

// writers are what a child does for ever in a directory: step n, and then to tell of it.
var writers = map[string]func(dir string, n int) error{
	"durable": func(dir string, n int) error { return durable.Write(filepath.Join(dir, "file"), text(n), 0o600) },
	"careless": func(dir string, n int) error {
		path := filepath.Join(dir, "file")
		if err := os.WriteFile(path+".new", text(n), 0o600); err != nil {
			return err
		}
		return os.Rename(path+".new", path)
	},
	"renewer": func(dir string, _ int) error { return renewOnce(dir) },
}

// text is what the n-th file holds, some pages of it.
func text(n int) []byte { return bytes.Repeat(fmt.Appendf(nil, "%d\n", n), 1000+n%7*500) }

// writeForEver is the child's side.
func writeForEver(what, dir string) int {
	for n := 1; ; n++ {
		if err := writers[what](dir, n); err != nil {
			fmt.Println("failed:", err)
			return 1
		}
		os.Stdout.WriteString(strconv.Itoa(n) + "\n")
	}
}

// renewOnce has a certificate renewed as if 21 days had gone by.
func renewOnce(dir string) error {
	id, err := courier.LoadIdentity(dir)
	if err != nil {
		return err
	}
	since := time.Duration(0)
	c, err := courier.NewClient(id, courier.ClientOptions{Clock: courier.NewClock(nil, func() time.Duration { return since })})
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := c.Probe(ctx); err != nil {
		return err
	}
	since = 23 * 24 * time.Hour
	renewed, err := c.Renew(ctx)
	if err == nil && !renewed {
		err = fmt.Errorf("no certificate was due")
	}
	return err
}

// told are the moments at which a child on a recorded disk said that a step was done.
type told struct {
	log *disk.Log
	at  []int // of step 1 and on, in requests of the disk
}

// until is the last step told of before a cut.
func (h told) until(cut int) int {
	n, _ := slices.BinarySearch(h.at, cut+1)
	return n
}

// writing lets a child write to a disk for a while.
func writing(t *testing.T, p *disk.Power, what, dir string, span time.Duration) told {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, what, dir)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var h told
	var mu sync.Mutex
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if strings.HasPrefix(lines.Text(), "failed") {
				t.Error(lines.Text())
			}
			mu.Lock()
			h.at = append(h.at, p.Now())
			mu.Unlock()
		}
	}()
	for end := time.Now().Add(span); time.Now().Before(end); p.Sync() {
		time.Sleep(rand.N(100 * time.Millisecond))
	}
	cmd.Process.Kill()
	<-done
	cmd.Wait()
	h.log = p.Stop()
	if len(h.at) < 3 {
		t.Fatalf("%s: %d steps", what, len(h.at))
	}
	return h
}

// cut lets the power go n times and hands f what is left, with the last step told of.
func (h told) cut(t *testing.T, n int, f func(dir string, told int)) {
	t.Helper()
	var ats []int
	for range n {
		ats = append(ats, h.at[0]+rand.IntN(h.log.Len()-h.at[0]))
	}
	slices.Sort(ats)
	for i, at := range ats {
		var r *rand.Rand
		if i%2 == 1 {
			r = rand.New(rand.NewPCG(rand.Uint64(), 0))
		}
		h.log.Cut(t, at, r, func(dir string) { f(dir, h.until(at)) })
	}
}

// TestPowerCutsOfSmallFiles: a file that was replaced is the last one told of or a later one, whole. The same cuts find a
// replacement without syncs.
func TestPowerCutsOfSmallFiles(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"durable", "careless"} {
		p := disk.NewPower(t)
		h := writing(t, p, what, p.Dir, time.Duration(times(700, 3000))*time.Millisecond)
		cuts, wrong := times(30, 200), 0
		h.cut(t, cuts, func(dir string, told int) {
			b, err := os.ReadFile(filepath.Join(dir, "file"))
			n, _ := strconv.Atoi(string(bytes.SplitN(b, []byte("\n"), 2)[0]))
			if err == nil && n >= told && bytes.Equal(b, text(n)) {
				return
			}
			wrong++
			if what == "durable" {
				t.Errorf("number %d of %d bytes, %d was told: %v", n, len(b), told, err)
			}
		})
		t.Logf("%s: %d written, %d cuts, %d wrong", what, len(h.at), cuts, wrong)
		if what == "careless" && wrong < cuts/3 {
			t.Errorf("%d of %d cuts found a replacement without syncs", wrong, cuts)
		}
	}
}

// TestPowerCutsOfIdentity: a device stays enrolled whenever the power goes, while it enrolls again and while its certificate is
// renewed.
func TestPowerCutsOfIdentity(t *testing.T) {
	t.Parallel()
	w := newWorld(t, filepath.Join(t.TempDir(), "state"))
	p := disk.NewPower(t)
	state := filepath.Join(p.Dir, "state")
	enroll := func() {
		token := strings.TrimSpace(w.must("collector", "token", "ws-1", "--data", w.data))
		w.must("courier", "enroll", "--state", state, "--collector", "https://"+w.address, "--token", token)
	}
	enroll()
	first := p.Now()
	for range times(3, 10) {
		enroll()
	}
	h := writing(t, p, "renewer", filepath.Join(state, "identity"), time.Duration(times(1500, 5000))*time.Millisecond)
	h.at[0] = first
	cuts := times(30, 200)
	h.cut(t, cuts, func(dir string, _ int) {
		id, err := courier.LoadIdentity(filepath.Join(dir, "state", "identity"))
		if err == nil {
			_, err = id.Certificate()
		}
		if err != nil {
			t.Error(err)
		}
	})
	t.Logf("%d renewals, %d cuts", len(h.at), cuts)
}
