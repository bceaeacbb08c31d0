package collector

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"stepaway/audit"
	pg "stepaway/test/postgres"
)

// arrival is the chain's events from from to to, as the server would hand them to the store.
func (c *chain) arrival(from, to int, at time.Time) Arrival {
	a := Arrival{Device: c.device, Epoch: c.epoch, Received: at.UTC().Truncate(time.Microsecond)}
	for n := from; n <= to; n++ {
		a.Events = append(a.Events, Event{Record: audit.Record{Seq: uint64(n), Hash: c.hashes[n-1], Body: c.bodies[n-1]},
			Prev: c.held(n - 1), Type: audit.LockProved, Wall: at})
	}
	return a
}

func (s *site) take(t testing.TB, c *chain, from, to int, at time.Time, want int) {
	t.Helper()
	held, err := s.store.Take(context.Background(), c.arrival(from, to, at))
	must(t, err)
	if held != (Held{Last: uint64(want), Hash: c.held(want)}) {
		t.Errorf("%d to %d: held %+v, want up to %d", from, to, held, want)
	}
}

func newChain(t testing.TB, device audit.Label, epoch string, n int) *chain {
	t.Helper()
	c := &chain{device: device, epoch: epoch}
	c.grow(t, n)
	return c
}

// verified is Verify without findings.
func (s *site) verified(t testing.TB) Verified {
	t.Helper()
	v, err := Verify(context.Background(), s.store, s.key())
	must(t, err)
	for _, f := range v.Findings {
		t.Errorf("%+v", f)
	}
	return v
}

// contents is the hash of everything that is held, and how much that is.
func contents(t testing.TB, db *sql.DB) (sum string, n int) {
	t.Helper()
	h := sha256.New()
	for _, table := range []string{"events", "conflicts"} {
		rows, err := db.Query("SELECT device, epoch, seq, hash, type, wall, received, body FROM " + table + " ORDER BY device, epoch, seq, hash")
		must(t, err)
		for rows.Next() {
			var device, epoch, hash, typ string
			var seq, wall, received int64
			var body []byte
			must(t, rows.Scan(&device, &epoch, &seq, &hash, &typ, &wall, &received, &body))
			fmt.Fprintln(h, table, device, epoch, seq, hash, typ, wall, received, string(body))
			n++
		}
		must(t, errors.Join(rows.Err(), rows.Close()))
	}
	return fmt.Sprintf("%x", h.Sum(nil)), n
}

// TestStoresOfEarlierReleases opens a store that the first release made: every event is as it was, and the store takes more.
func TestStoresOfEarlierReleases(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, storeFile)
	must(t, copyFile("testdata/sqlite-1.db", path))
	db, err := openFile(path)
	must(t, err)
	before, n := contents(t, db)
	must(t, db.Close())
	if n != 110 {
		t.Fatalf("%d events in the fixture", n)
	}
	a, err := Init(filepath.Join(t.TempDir(), "keys"), nil, time.Now())
	must(t, err)
	var starting sync.WaitGroup
	stores := make([]*Store, 6)
	for i := range stores {
		starting.Go(func() {
			var err error
			if stores[i], err = OpenSQLite(dir); err != nil {
				t.Errorf("started at the same time as others: %v", err)
			}
		})
	}
	starting.Wait()
	if t.Failed() {
		return
	}
	s := &site{store: stores[0], a: a}
	v, err := Verify(context.Background(), s.store, s.key())
	must(t, err)
	forks, missing := 0, 0
	for _, f := range v.Findings {
		switch f.Code {
		case "fork":
			forks++
		case "missing":
			missing += int(f.To - f.From + 1)
		default:
			t.Errorf("%+v", f)
		}
	}
	if v.Events != 100 || forks != 10 || missing != 10 {
		t.Errorf("%d events, %d forks, %d missing", v.Events, forks, missing)
	}
	s.take(t, newChain(t, "ws-9", "00000000000000aa", 5), 1, 5, time.Now(), 5)
	must(t, s.store.Adopt(context.Background(), a))
	for _, other := range stores {
		must(t, other.Close())
	}
	db, err = openFile(path)
	must(t, err)
	defer db.Close()
	_, err = db.Exec("DELETE FROM events WHERE device = 'ws-9'")
	must(t, err)
	if after, m := contents(t, db); after != before || m != n {
		t.Errorf("%d events before, %d after, or not the same", n, m)
	}
}

func TestNewerSchemaIsRefused(t *testing.T) { onEach(t, checkNewerSchemaIsRefused) }

func checkNewerSchemaIsRefused(t *testing.T, s *site) {
	if s.engine == "sqlite" {
		db, err := openFile(filepath.Join(s.dir, storeFile))
		must(t, err)
		_, err = db.Exec("PRAGMA user_version = 99")
		must(t, errors.Join(err, db.Close()))
	} else {
		s.sql(t, "INSERT INTO schema_version (version) VALUES (99)")
	}
	_, err := Open(context.Background(), s.dir, s.address)
	if err == nil || !strings.Contains(err.Error(), "version 99") || !strings.Contains(err.Error(), "newer stepaway-collector") {
		t.Errorf("opened a store of a newer release: %v", err)
	}
}

// TestManyStartersOnAnEmptyDatabase: the tables are made once, whoever comes at the same time.
func TestManyStartersOnAnEmptyDatabase(t *testing.T) {
	address, _ := pg.Fresh(t)
	var starting sync.WaitGroup
	for range 8 {
		starting.Go(func() {
			s, err := Open(context.Background(), "", address)
			if err != nil {
				t.Error(err)
				return
			}
			must(t, s.Close())
		})
	}
	starting.Wait()
}

// TestSeveralCollectorsOnOneStore has two of them take the same events and others of the same epochs, all at once.
func TestSeveralCollectorsOnOneStore(t *testing.T) { onEach(t, checkSeveralCollectorsOnOneStore) }

func checkSeveralCollectorsOnOneStore(t *testing.T, s *site) {
	second := s.open(t)
	defer func() { must(t, second.Close()) }()
	const devices, events, step = 12, 120, 15
	var all sync.WaitGroup
	for i := range devices {
		c := newChain(t, audit.Label(fmt.Sprintf("ws-%d", i)), "00000000000000aa", events)
		for j, store := range []*Store{s.store, second, s.store, second} {
			all.Go(func() {
				for held := 0; held < events; {
					from := max(1, held+1-(j*3)) // some of what is held already, too
					h, err := store.Take(context.Background(), c.arrival(from, min(from+step-1, events), time.Now()))
					if err != nil {
						t.Error(err)
						return
					}
					if h.Hash != c.held(int(h.Last)) || int(h.Last) < held {
						t.Errorf("%s: held %+v after %d", c.device, h, held)
						return
					}
					held = int(h.Last)
				}
			})
		}
	}
	all.Wait()
	if v := s.verified(t); v.Events != devices*events || len(v.Epochs) != devices {
		t.Errorf("%d events in %d epochs", v.Events, len(v.Epochs))
	}
}

// TestOneBatchDoesNotSpoilOthers: what the database refuses of one device, it refuses of that one only.
func TestOneBatchDoesNotSpoilOthers(t *testing.T) { onEach(t, checkOneBatchDoesNotSpoilOthers) }

func checkOneBatchDoesNotSpoilOthers(t *testing.T, s *site) {
	s.spoil(t, "ws-0")
	var all sync.WaitGroup
	for i := range 40 {
		c := newChain(t, audit.Label(fmt.Sprintf("ws-%d", i)), "00000000000000aa", 20)
		all.Go(func() {
			for n := 1; n <= 20; n += 5 {
				h, err := s.store.Take(context.Background(), c.arrival(n, n+4, time.Now()))
				if bad := i == 0; bad != (err != nil) || !bad && int(h.Last) != n+4 {
					t.Errorf("%s: %+v, %v", c.device, h, err)
				}
			}
		})
	}
	all.Wait()
	if v := s.verified(t); v.Events != 39*20 {
		t.Errorf("%d events", v.Events)
	}
}

// spoil has the database refuse every event of a device.
func (s *site) spoil(t *testing.T, device string) {
	t.Helper()
	if s.engine == "sqlite" {
		db, err := openFile(filepath.Join(s.dir, storeFile))
		must(t, err)
		_, err = db.Exec("CREATE TRIGGER broken BEFORE INSERT ON events WHEN new.device = '" + device + "' BEGIN SELECT raise(ABORT, 'broken'); END")
		must(t, errors.Join(err, db.Close()))
		return
	}
	_, err := pg.Shared(t).SQL(s.database, "ALTER TABLE events ADD CONSTRAINT broken CHECK (device <> '"+device+"')")
	must(t, err)
}

// TestAnEventIsKeptOnceOverMonths: it comes again when the month is another, and the head of its epoch says that it is held.
func TestAnEventIsKeptOnceOverMonths(t *testing.T) { onEach(t, checkAnEventIsKeptOnceOverMonths) }

func checkAnEventIsKeptOnceOverMonths(t *testing.T, s *site) {
	c := newChain(t, "ws-1", "00000000000000aa", 60)
	at := time.Date(2031, 1, 31, 23, 59, 59, 999999000, time.UTC)
	for i := range 6 { // none of these months was made ahead
		s.take(t, c, 1, 10*(i+1), at, 10*(i+1))
		at = at.AddDate(0, 0, 29)
	}
	f := c.fork(30)
	f.grow(t, 5)
	held, err := s.store.Take(context.Background(), f.arrival(1, 35, at))
	if err != nil || held.Last != 60 {
		t.Errorf("a fork over months: %+v, %v", held, err)
	}
	v, err := Verify(context.Background(), s.store, s.key())
	if err != nil || v.Events != 60 || len(v.Findings) != 5 || v.Findings[0].Code != "fork" {
		t.Errorf("%+v, %v", v, err)
	}
	if s.engine != "postgres" {
		return
	}
	names, err := pg.Shared(t).SQL(s.database, "SELECT string_agg(relid::text, ' ') FROM pg_partition_tree('events') WHERE isleaf")
	must(t, err)
	_, err = pg.Shared(t).SQL(s.database, "DROP TABLE "+partitionOf(month(at)))
	must(t, err)
	c.grow(t, 1)
	s.take(t, c, 61, 61, at, 61) // made again, though it was thought to be there
	for _, want := range []string{"events_2031_01", "events_2031_03", "events_2031_07", partitionOf(month(time.Now()).AddDate(0, monthsAhead, 0))} {
		if !strings.Contains(names, want) {
			t.Errorf("partitions %s: no %s", names, want)
		}
	}
}

// TestEventsBeyondTheHead are there only when somebody changed the store; they are not doubled, and what they say counts.
func TestEventsBeyondTheHead(t *testing.T) { onEach(t, checkEventsBeyondTheHead) }

func checkEventsBeyondTheHead(t *testing.T, s *site) {
	c := newChain(t, "ws-1", "00000000000000aa", 20)
	s.take(t, c, 1, 20, time.Now(), 20)
	s.sql(t, "UPDATE epochs SET last = 10, hash = ?1", c.held(10))
	s.take(t, c, 11, 15, time.Now(), 15)
	f := c.fork(15)
	f.grow(t, 3)
	held, err := s.store.Take(context.Background(), f.arrival(16, 18, time.Now()))
	if err != nil || held.Last != 15 {
		t.Errorf("%+v, %v", held, err)
	}
	s.take(t, c, 16, 20, time.Now(), 20)
}

func TestStoreOfAnotherCollector(t *testing.T) { onEach(t, checkStoreOfAnotherCollector) }

func checkStoreOfAnotherCollector(t *testing.T, s *site) {
	ctx := context.Background()
	must(t, s.store.Adopt(ctx, s.a))
	must(t, s.store.Adopt(ctx, s.a))
	other, err := Init(filepath.Join(t.TempDir(), "other"), nil, time.Now())
	must(t, err)
	if err := s.store.Adopt(ctx, other); !errors.Is(err, ErrSite) {
		t.Errorf("taken by another collector: %v", err)
	}
}

// TestReadingSeesOneMoment: what is written while somebody reads, he does not see.
func TestReadingSeesOneMoment(t *testing.T) { onEach(t, checkReadingSeesOneMoment) }

func checkReadingSeesOneMoment(t *testing.T, s *site) {
	c := newChain(t, "ws-1", "00000000000000aa", 20)
	s.take(t, c, 1, 10, time.Now(), 10)
	must(t, s.store.View(context.Background(), func(v *View) error {
		before, err := v.Devices()
		must(t, err)
		s.take(t, c, 11, 20, time.Now(), 20)
		s.take(t, newChain(t, "ws-2", "00000000000000aa", 5), 1, 5, time.Now(), 5)
		n := 0
		must(t, v.Walk(Filter{}, func(Kept) error { n++; return nil }))
		after, err := v.Devices()
		if n != 10 || len(before) != 1 || len(after) != 1 || after[0].Epochs[0].Last != 10 {
			t.Errorf("%d events, %d devices, then %d", n, len(before), len(after))
		}
		return err
	}))
	s.verified(t)
}

func TestOpenSaysWhatToDo(t *testing.T) {
	for address, want := range map[string]string{
		"mysql://x":                          "postgres://USER@HOST/DATABASE",
		"postgres://u:geheim@127.0.0.1:1/db": "is it running",
		"postgres://u:geheim@[::1/db":        "cannot be read",
		"postgres://u:geheim@h/db?sslmode=x": "sslmode",
		"postgres://u:geheim@127.0.0.1:1/db?sslmode=verify-full&sslrootcert=/nowhere/ca.pem": "/nowhere/ca.pem",
	} {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		s, err := Open(ctx, t.TempDir(), address)
		cancel()
		if err == nil {
			t.Errorf("%s: opened", address)
			must(t, s.Close())
			continue
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "geheim") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", address, err)
		}
	}
}
