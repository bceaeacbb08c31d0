package collector

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"stepaway/audit"
	pg "stepaway/test/postgres"
)

// copyOf backs the site's store up while it is used, by the means that belong to its engine, and answers what puts the copy in
// the place of the store, and opens it.
func (s *site) copyOf(t *testing.T) (back func() *Store) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "copy")
	if s.engine == "sqlite" {
		must(t, s.store.Backup(context.Background(), file))
		return func() *Store {
			must(t, s.store.Close())
			_, err := RestoreSQLite(s.dir, file, s.a)
			must(t, err)
			return s.open(t)
		}
	}
	run := func(name string, args ...string) {
		t.Helper()
		path, err := pg.Tool(name)
		must(t, err)
		if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	run("pg_dump", "--format=custom", "--file="+file, s.address)
	return func() *Store {
		must(t, s.store.Close())
		s.address, s.database = pg.Fresh(t)
		run("pg_restore", "--exit-on-error", "--dbname="+s.address, file)
		return s.open(t)
	}
}

// TestBackupWhileDevicesWrite: what was acknowledged before the backup began is in it, and it is whole. After it is put
// back, devices go on where they were, and what was lost is told.
func TestBackupWhileDevicesWrite(t *testing.T) { onEach(t, checkBackupWhileDevicesWrite) }

func checkBackupWhileDevicesWrite(t *testing.T, s *site) {
	const devices, events = 4, 800
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	chains := make([]*chain, devices)
	var mu sync.Mutex
	acked := make([]int, devices)
	for i := range chains {
		chains[i] = newChain(t, audit.Label(fmt.Sprintf("ws-%d", i)), "00000000000000aa", events)
		all.Go(func() {
			for n := 1; n+4 <= events-10 && ctx.Err() == nil; n += 5 {
				h, err := s.store.Take(context.Background(), chains[i].arrival(n, n+4, time.Now()))
				if err != nil || int(h.Last) != n+4 {
					t.Errorf("%+v, %v", h, err)
					return
				}
				mu.Lock()
				acked[i] = n + 4
				mu.Unlock()
			}
		})
	}
	for begun := false; !begun; time.Sleep(time.Millisecond) {
		mu.Lock()
		begun = acked[0] > 50 && acked[devices-1] > 50
		mu.Unlock()
	}
	mu.Lock()
	before := append([]int(nil), acked...)
	mu.Unlock()
	back := s.copyOf(t)
	cancel()
	all.Wait()
	after := acked
	s.verified(t)
	store := back()
	s.store = store
	v := s.verified(t)
	lost := 0
	for i, e := range v.Epochs {
		if e.To < uint64(before[i]) || e.From != 1 {
			t.Errorf("%s: %d to %d in the copy, %d acknowledged before", e.Device, e.From, e.To, before[i])
		}
		c, n := chains[i], after[i]
		a := c.arrival(n+1, n+5, time.Now())
		a.Proved = Held{Last: uint64(n), Hash: c.held(n)}
		h, err := store.Take(context.Background(), a)
		if err != nil || int(h.Last) != n+5 {
			t.Errorf("%s goes on: %+v, %v", c.device, h, err)
		}
		lost += n - int(e.To)
	}
	v, err := Verify(context.Background(), store, s.key())
	must(t, err)
	told := 0
	for _, f := range v.Findings {
		if f.Code != "lost" {
			t.Errorf("%+v", f)
		}
		told += int(f.To - f.From + 1)
	}
	own := 0
	must(t, s.walk(Filter{Device: Own}, func(k Kept) error {
		e, err := audit.Decode(k.Body)
		if e.Type == audit.EventsLost {
			own += int(e.Facts.Count)
		}
		return err
	}))
	if told != lost || own != lost {
		t.Errorf("%d events lost, %d found by verify, %d told in the collector's own chain", lost, told, own)
	}
}

func TestRestoreRefuses(t *testing.T) {
	s := newSite(t)
	ctx := context.Background()
	must(t, s.store.Adopt(ctx, s.a))
	c := newChain(t, "ws-1", "00000000000000aa", 10)
	s.take(t, c, 1, 10, time.Now(), 10)
	dir := t.TempDir()
	good := filepath.Join(dir, "good")
	must(t, s.store.Backup(ctx, good))
	if err := s.store.Backup(ctx, good); err == nil || !strings.Contains(err.Error(), "another") {
		t.Errorf("written over a file: %v", err)
	}
	if err := s.store.Backup(ctx, filepath.Join(dir, "nowhere", "x")); err == nil {
		t.Error("written into a directory that is not there")
	}
	body, err := os.ReadFile(good)
	must(t, err)
	cut, wild, other, empty := filepath.Join(dir, "cut"), filepath.Join(dir, "wild"), filepath.Join(dir, "other"), filepath.Join(dir, "empty")
	must(t, os.WriteFile(cut, body[:len(body)/2], 0o600))
	must(t, os.WriteFile(empty, nil, 0o600))
	for i := len(body) / 3; i < len(body)/3+3000; i++ {
		body[i] ^= 0x5a
	}
	must(t, os.WriteFile(wild, body, 0o600))
	stranger := newSite(t)
	must(t, stranger.store.Adopt(ctx, stranger.a))
	must(t, stranger.store.Backup(ctx, other))
	if _, err := RestoreSQLite(s.dir, good, s.a); err == nil || !strings.Contains(err.Error(), "stop the collector") {
		t.Errorf("put in the place of a store in use: %v", err)
	}
	for name, from := range map[string]string{"cut": cut, "changed": wild, "of another collector": other, "empty": empty, "not there": dir + "/x"} {
		if _, err := RestoreSQLite(s.dir, from, s.a); err == nil || strings.Contains(err.Error(), "in use") {
			t.Errorf("%s: %v", name, err)
		} else if name == "of another collector" && !errors.Is(err, ErrSite) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if info, err := os.Stat(good); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	left, _ := filepath.Glob(dir + "/*")
	if len(left) != 5 {
		t.Errorf("left behind: %v", left)
	}
	s.verified(t)
}

// TestRestoreOfADamagedStore: one that cannot be opened any more is put aside.
func TestRestoreOfADamagedStore(t *testing.T) {
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "data")
	a, err := Init(dir, nil, time.Now())
	must(t, err)
	s := &site{a: a, dir: dir, engine: "sqlite"}
	s.store = s.open(t)
	must(t, s.store.Adopt(ctx, a))
	tok, err := NewToken(ctx, a, s.store, "ws-1", "", time.Hour, time.Now())
	must(t, err)
	s.take(t, newChain(t, "ws-1", "00000000000000aa", 10), 1, 10, time.Now(), 10)
	good := filepath.Join(t.TempDir(), "good")
	must(t, s.store.Backup(ctx, good))
	must(t, s.store.Close())
	must(t, os.WriteFile(filepath.Join(dir, storeFile), []byte("garbage, and nothing else"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, storeFile+"-wal"), []byte("more of it"), 0o600))
	old, err := RestoreSQLite(dir, good, a)
	if err != nil || old == "" {
		t.Fatalf("%q, %v", old, err)
	}
	s.store = s.open(t)
	defer func() { must(t, s.store.Close()) }()
	if v := s.verified(t); v.Events != 10 {
		t.Errorf("%d events", v.Events)
	}
	if _, err := s.store.UseToken(ctx, secretHash(tok.Secret), time.Now()); !errors.Is(err, ErrToken) {
		t.Errorf("a token from before serves again: %v", err)
	}
}
