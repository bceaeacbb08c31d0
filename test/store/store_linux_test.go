package store

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/collector"
	pg "stepaway/test/postgres"
)

// held is what a store has of the events of the load.
type held struct {
	collector.Verified
	load  map[audit.Label]int          // lock.proved and lock.requested, by device
	hash  map[string]map[uint64]string // by epoch and number
	types map[audit.Type]int           // of all events
	facts map[audit.Type][]audit.Facts // of the collector's own
}

func (s *site) held() held {
	s.t.Helper()
	ctx := context.Background()
	store, err := collector.Open(ctx, s.data, s.address)
	must(s.t, err)
	defer store.Close()
	h := held{load: map[audit.Label]int{}, hash: map[string]map[uint64]string{}, types: map[audit.Type]int{}, facts: map[audit.Type][]audit.Facts{}}
	h.Verified, err = collector.Verify(ctx, store, s.a.AckKey.Public().(ed25519.PublicKey))
	must(s.t, err)
	must(s.t, store.View(ctx, func(v *collector.View) error {
		return v.Walk(collector.Filter{}, func(k collector.Kept) error {
			e, err := audit.Decode(k.Body)
			if e.Type == audit.LockProved || e.Type == audit.LockRequested {
				h.load[k.Device]++
			}
			h.types[e.Type]++
			if k.Device == collector.Own && e.Facts != nil {
				h.facts[e.Type] = append(h.facts[e.Type], *e.Facts)
			}
			if h.hash[k.Epoch] == nil {
				h.hash[k.Epoch] = map[uint64]string{}
			}
			h.hash[k.Epoch][k.Seq] = k.Hash
			return err
		})
	}))
	return h
}

// fleet is some devices under load.
type fleet struct {
	devices []*device
	load    context.CancelFunc
	stop    func()
}

func (s *site) fleet(n int, every time.Duration) *fleet {
	s.t.Helper()
	f := &fleet{devices: make([]*device, n)}
	ctx, cancel := context.WithCancel(context.Background())
	f.load = cancel
	var stops []func()
	for i := range f.devices {
		f.devices[i] = s.enroll(audit.Label(fmt.Sprintf("ws-%d", i)))
		stops = append(stops, f.devices[i].start(s.t, ctx, every))
	}
	f.stop = sync.OnceFunc(func() {
		cancel()
		for _, stop := range stops {
			stop()
		}
	})
	s.t.Cleanup(f.stop)
	return f
}

// drain ends the load and waits until the collector has everything.
func (f *fleet) drain(t *testing.T) {
	t.Helper()
	f.load()
	for _, d := range f.devices {
		eventually(t, "the events of "+string(d.name), d.drained)
	}
}

// kept makes sure that a store has every event of the devices once, with the hashes that it acknowledged.
func (h held) kept(t *testing.T, f *fleet) {
	t.Helper()
	for _, x := range h.Findings {
		t.Errorf("%+v", x)
	}
	total := 0
	for _, d := range f.devices {
		d.mu.Lock()
		if h.load[d.name] != d.appended {
			t.Errorf("%s: %d events of the load held, %d written", d.name, h.load[d.name], d.appended)
		}
		for epoch, ack := range d.acked {
			if len(h.hash[epoch]) < int(ack.Last) || h.hash[epoch][ack.Last] != ack.Hash {
				t.Errorf("%s: %d events of epoch %s held, %d acknowledged", d.name, len(h.hash[epoch]), epoch, ack.Last)
			}
		}
		total += d.appended
		d.mu.Unlock()
	}
	t.Logf("%d events of %d devices, every one there once", total, len(f.devices))
}

// TestKilledUnderLoad kills the only collector again and again. Every acknowledged event is there.
func TestKilledUnderLoad(t *testing.T) { onEach(t, checkKilledUnderLoad) }

func checkKilledUnderLoad(t *testing.T, s *site) {
	p := s.serve()
	f := s.fleet(20, 5*time.Millisecond)
	for i := range *kills {
		before := make([]uint64, len(f.devices))
		for j, d := range f.devices {
			before[j] = d.promised().Last
		}
		eventually(t, "acknowledgements between kills", func() bool {
			n := 0
			for j, d := range f.devices {
				if d.promised().Last > before[j] {
					n++
				}
			}
			return n > len(f.devices)/2
		})
		time.Sleep(time.Duration(i%7) * 3 * time.Millisecond)
		s.front.remove(p.addr)
		p.kill()
		promised := make([]uint64, len(f.devices))
		for j, d := range f.devices {
			promised[j] = d.promised().Last
		}
		p = s.serve()
		if i%5 != 4 {
			continue
		}
		h := s.held() // while it is served: what was acknowledged before the kill is there
		for j, d := range f.devices {
			if n := len(h.hash[d.spool.State().Epoch]); n < int(promised[j]) {
				t.Errorf("kill %d: %s: %d events held, %d acknowledged", i, d.name, n, promised[j])
			}
		}
	}
	f.drain(t)
	s.held().kept(t, f)
}

// TestOneOfTwoCollectorsKilled has two of them on one database, and kills one and then the other under load.
func TestOneOfTwoCollectorsKilled(t *testing.T) {
	s := newSite(t, "postgres")
	both := []*process{s.serve(), s.serve()}
	f := s.fleet(20, 5*time.Millisecond)
	for i := range 6 {
		time.Sleep(300 * time.Millisecond)
		both[i%2].kill() // while couriers are still sent to it
		time.Sleep(100 * time.Millisecond)
		s.front.remove(both[i%2].addr)
		time.Sleep(200 * time.Millisecond)
		both[i%2] = s.serve()
	}
	f.drain(t)
	s.held().kept(t, f)
}

// TestRestoredFromAnOlderBackup: couriers go on, nothing is doubled, and what the backup did not have is said by verify and
// in the collector's own chain, to the number.
func TestRestoredFromAnOlderBackup(t *testing.T) { onEach(t, checkRestoredFromAnOlderBackup) }

func checkRestoredFromAnOlderBackup(t *testing.T, s *site) {
	p := s.serve()
	f := s.fleet(6, 20*time.Millisecond)
	for _, d := range f.devices {
		eventually(t, "acknowledgements", func() bool { return d.promised().Last > 20 })
	}
	before := make([]uint64, len(f.devices))
	for i, d := range f.devices {
		before[i] = d.promised().Last
	}
	back := s.backup()
	for i, d := range f.devices {
		eventually(t, "acknowledgements after the backup", func() bool { return d.promised().Last > before[i]+20 })
	}
	s.front.remove(p.addr)
	p.stop()
	back()
	copied := s.held()
	gone := map[string]uint64{}
	for i, d := range f.devices {
		ack := d.promised()
		n := uint64(len(copied.hash[ack.Epoch]))
		if n < before[i] {
			t.Errorf("%s: %d events in the backup, %d acknowledged before it", d.name, n, before[i])
		}
		gone[ack.Epoch] = ack.Last - n
	}
	s.serve()
	f.drain(t)
	h := s.held()
	told := map[string]uint64{}
	for _, x := range h.Findings {
		if x.Code != "lost" {
			t.Errorf("%+v", x)
		}
		told[x.Epoch] += x.To - x.From + 1
	}
	for _, x := range h.facts[audit.EventsLost] {
		told[string(x.Ref)] += uint64(x.Count) << 32
	}
	for epoch, n := range gone {
		if n == 0 || told[epoch] != n+n<<32 {
			t.Errorf("epoch %s: %d acknowledged events are gone; verify says %d, the collector's chain %d", epoch, n, told[epoch]&(1<<32-1), told[epoch]>>32)
		}
	}
	if out, err := s.try("verify"); err == nil || !strings.Contains(out, "was an older backup restored?") {
		t.Errorf("verify does not say it: %v\n%s", err, out)
	}
	for _, d := range f.devices {
		epochs := slices.Collect(func(yield func(string) bool) {
			for _, e := range h.Epochs {
				if e.Device == d.name && !yield(e.Epoch) {
					return
				}
			}
		})
		if len(epochs) != 1 {
			t.Errorf("%s has epochs %v", d.name, epochs)
		}
	}
}

// backup makes a copy of the store while it is used, as docs/operate.md says, and answers what puts it back.
func (s *site) backup() (back func()) {
	s.t.Helper()
	file := filepath.Join(s.t.TempDir(), "copy")
	if s.address == "" {
		s.run("backup", "--to", file)
		return func() { s.run("restore", "--from", file) }
	}
	tool := func(name string, args ...string) {
		s.t.Helper()
		path, err := pg.Tool(name)
		must(s.t, err)
		if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
			s.t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	tool("pg_dump", "--format=custom", "--file="+file, s.address)
	return func() {
		s.address, s.database = pg.Fresh(s.t)
		tool("pg_restore", "--exit-on-error", "--dbname="+s.address, file)
	}
}

// TestCommandsOnEachStore runs what an administrator runs.
func TestCommandsOnEachStore(t *testing.T) { onEach(t, checkCommandsOnEachStore) }

func checkCommandsOnEachStore(t *testing.T, s *site) {
	p := s.serve()
	f := s.fleet(2, 20*time.Millisecond)
	eventually(t, "events", func() bool { return f.devices[0].promised().Last > 5 && f.devices[1].promised().Last > 5 })
	f.drain(t)
	f.stop()
	for verb, want := range map[string]string{"devices": "ws-1", "events": "lock.proved", "report": "ws-0: ", "verify": "none missing"} {
		if out := s.run(verb); !strings.Contains(out, want) {
			t.Errorf("%s: no %q in\n%s", verb, want, out)
		}
	}
	if out := s.run("retain", "--dry-run", "--retain", "90d"); !strings.HasPrefix(out, "0 events would be removed") {
		t.Errorf("retain --dry-run: %s", out)
	}
	if out := s.run("retain"); out != "0 events removed\n" {
		t.Errorf("retain: %s", out)
	}
	for _, args := range [][]string{{"serve", "--retain", "6d"}, {"retain", "--retain", "soon"}, {"backup"}, {"restore"}, {"restore", "--from", ""}} {
		out, err := exec.Command(program, append(args, "--data", s.data)...).CombinedOutput()
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 2 {
			t.Errorf("%v: %v, %s", args, err, out)
		}
	}
	if s.address != "" {
		if out, err := s.try("backup", "--to", filepath.Join(t.TempDir(), "x")); err == nil || !strings.Contains(err.Error(), "pg_dump") {
			t.Errorf("backup of PostgreSQL: %s, %v", out, err)
		}
		other := filepath.Join(t.TempDir(), "other")
		out, err := exec.Command(program, "init", "--data", other, "--store", s.address).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "another collector") {
			t.Errorf("another collector on this store: %v, %s", err, out)
		}
		if _, err := os.Stat(other); err == nil {
			t.Error("keys were made for a store that could not be had")
		}
	} else if out, err := exec.Command(program, "restore", "--data", s.data, "--from", filepath.Join(s.data, "collector.db")).CombinedOutput(); err == nil ||
		!strings.Contains(string(out), "stop the collector") {
		t.Errorf("restore while it serves: %v, %s", err, out)
	}
	p.stop()
	if body, _ := os.ReadFile(p.log); strings.Contains(string(body), "password") {
		t.Errorf("log: %s", body)
	}
}
