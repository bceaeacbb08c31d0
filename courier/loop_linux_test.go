package courier_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/courier"
	"stepaway/link"
	"stepaway/spool"
	"stepaway/uplink"
)

// enforcer is the agent's end of the link: the real server and the real outbox.
type enforcer struct {
	path   string
	outbox *link.Outbox
	said   atomic.Pointer[link.Courier]
	stop   func()
}

func (e *enforcer) Tray(link.Peer, string) (string, string)                { return "", "role" }
func (e *enforcer) TrayUp(string, link.Peer, func(link.State))             {}
func (e *enforcer) TrayDown(string, link.Peer)                             {}
func (e *enforcer) LockNow(string)                                         {}
func (e *enforcer) Courier(link.Peer) bool                                 { return true }
func (e *enforcer) CourierSaid(c *link.Courier)                            { e.said.Store(c) }
func (e *enforcer) Status(context.Context, link.Peer) (link.Status, error) { return link.Status{}, nil }

// startEnforcer listens on path until stopped or the test ends. Events wait in its outbox.
func startEnforcer(t testing.TB, path string, outbox *link.Outbox) *enforcer {
	t.Helper()
	e := &enforcer{path: path, outbox: outbox}
	s, err := link.Listen(path, 0o600, e, outbox)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(ctx) }()
	e.stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(e.stop)
	return e
}

func (e *enforcer) dial(ctx context.Context) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "unix", e.path)
}

func newEvent(typ audit.Type) audit.Event {
	s, _ := audit.SeverityOf(typ)
	return audit.Event{V: audit.Version, Type: typ, Wall: time.Now().UTC(), Severity: s, Outcome: audit.Success, Agent: "v1"}
}

// queue gives the courier a real spool.
type queue struct{ *spool.Spool }

func (q queue) Position() courier.Position {
	s := q.State()
	return courier.Position{Epoch: s.Epoch, Head: s.Head, Acked: s.Acked, AckedHash: s.AckedHash, Proof: s.Proof, Bytes: s.Bytes}
}

func openSpool(t testing.TB, dir string, device audit.Label) *spool.Spool {
	t.Helper()
	s, _, err := spool.Open(dir, spool.Options{Device: device, Bound: string(device)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// peer is a collector that does as it is told.
type peer struct {
	mu    sync.Mutex
	send  func(b uplink.Batch, sent []audit.Record) (uplink.Ack, error)
	probe func() error
	got   []audit.Record
	tries int
	renew int
}

func (p *peer) Send(_ context.Context, b uplink.Batch, sent []audit.Record) (uplink.Ack, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tries++
	if p.send != nil {
		if ack, err := p.send(b, sent); err != nil || ack.Hash != "" {
			return ack, err
		}
	}
	p.got = append(p.got, sent...)
	last := sent[len(sent)-1]
	return uplink.Ack{Device: b.Device, Epoch: b.Epoch, Last: last.Seq, Hash: last.Hash, Sig: "sig"}, nil
}

func (p *peer) Probe(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.probe == nil {
		return nil
	}
	return p.probe()
}

func (p *peer) Renew(context.Context) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.renew++
	return p.renew == 1, nil
}

// types lists what arrived.
func (p *peer) types() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var ts []string
	for _, r := range p.got {
		e, err := audit.Decode(r.Body)
		if err != nil {
			ts = append(ts, err.Error())
			continue
		}
		t := string(e.Type)
		if e.Facts != nil && e.Facts.Code != "" {
			t += " " + string(e.Facts.Code)
		}
		ts = append(ts, t)
	}
	return ts
}

func (p *peer) set(send func(uplink.Batch, []audit.Record) (uplink.Ack, error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.send = send
}

// start runs a courier until the end of the test, or stop.
func start(t testing.TB, q courier.Queue, o courier.Options) (c *courier.Courier, stop func() error) {
	t.Helper()
	before := runtime.NumGoroutine()
	o.Stamp, o.Log = newEvent, slog.New(slog.DiscardHandler)
	if o.RetryMin == 0 {
		o.RetryMin, o.RetryMax = 5*time.Millisecond, 50*time.Millisecond
	}
	c = courier.New(q, o)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		err := <-ended
		if o.Dial != nil {
			return err // the link and its peers have goroutines of their own
		}
		for end := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > before && time.Now().Before(end); {
			time.Sleep(5 * time.Millisecond)
		}
		if n := runtime.NumGoroutine(); n > before {
			t.Errorf("%d goroutines before, %d after", before, n)
		}
		return err
	})
	t.Cleanup(func() { stop() })
	return c, stop
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

func TestFromTheLinkToTheCollector(t *testing.T) {
	e := startEnforcer(t, filepath.Join(t.TempDir(), "link.sock"), link.NewOutbox("aaaaaaaa"))
	s := openSpool(t, t.TempDir(), "ws-1")
	p := &peer{}
	_, stop := start(t, queue{s}, courier.Options{Device: "ws-1", Dial: e.dial, Peer: p})
	for range 300 {
		e.outbox.Add(newEvent(audit.LockProved))
	}
	eventually(t, "300 events stored", func() bool { _, waiting, _ := e.outbox.Counts(); return waiting == 0 })
	eventually(t, "300 events at the collector", func() bool { return count(p.types(), "lock.proved") == 300 })
	eventually(t, "the enforcer knows", func() bool {
		c := e.said.Load()
		return c != nil && c.Collector == "up" && c.Head >= 300 && c.Acked == c.Head && c.Code == ""
	})
	if err := stop(); err != nil {
		t.Error(err)
	}
	if n := count(p.types(), "collector.up"); n != 1 {
		t.Errorf("%d collector.up", n)
	}
	if n := count(p.types(), "certificate.renewed"); n != 1 {
		t.Errorf("%d certificate.renewed", n)
	}
}

func count(words []string, w string) int {
	n := 0
	for _, x := range words {
		if x == w {
			n++
		}
	}
	return n
}

// TestNothingIsSaidBeforeItIsStored: the enforcer keeps its events while the spool fails.
func TestNothingIsSaidBeforeItIsStored(t *testing.T) {
	e := startEnforcer(t, filepath.Join(t.TempDir(), "link.sock"), link.NewOutbox("aaaaaaaa"))
	q := &failing{queue: queue{openSpool(t, t.TempDir(), "")}}
	q.fails.Store(true)
	start(t, q, courier.Options{Dial: e.dial})
	e.outbox.Add(newEvent(audit.LockProved))
	eventually(t, "the enforcer hears of it", func() bool { c := e.said.Load(); return c != nil && c.Code == "spool" && c.Collector == "none" })
	if _, waiting, _ := e.outbox.Counts(); waiting != 1 {
		t.Fatalf("%d events wait, want 1", waiting)
	}
	q.fails.Store(false)
	eventually(t, "the event stored", func() bool { _, waiting, _ := e.outbox.Counts(); return waiting == 0 })
	eventually(t, "the code gone", func() bool { c := e.said.Load(); return c != nil && c.Code == "" })
}

// failing is a spool whose disk is full for a while.
type failing struct {
	queue
	fails atomic.Bool
}

func (f *failing) Append(es []audit.Event) (uint64, uint64, error) {
	if f.fails.Load() {
		return 0, 0, errors.New("no space left on device")
	}
	return f.queue.Append(es)
}

func TestEnforcerComesAndGoes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "link.sock")
	outbox := link.NewOutbox("aaaaaaaa")
	s := openSpool(t, t.TempDir(), "")
	e := startEnforcer(t, path, outbox)
	start(t, queue{s}, courier.Options{Dial: e.dial})
	for i := range 3 {
		outbox.Add(newEvent(audit.LockProved))
		eventually(t, "stored", func() bool { _, waiting, _ := outbox.Counts(); return waiting == 0 })
		e.stop()
		if i == 1 {
			outbox = link.NewOutbox("bbbbbbbb")
		}
		outbox.Add(newEvent(audit.LockProved))
		e = startEnforcer(t, path, outbox)
	}
	eventually(t, "stored", func() bool { _, waiting, _ := outbox.Counts(); return waiting == 0 })
	if head := s.State().Head; head != 6 {
		t.Errorf("%d events, want 6: none twice, none lost", head)
	}
}

func TestDownAndUpAreToldOnce(t *testing.T) {
	s := openSpool(t, t.TempDir(), "ws-1")
	p := &peer{send: func(uplink.Batch, []audit.Record) (uplink.Ack, error) {
		return uplink.Ack{}, &courier.AnswerError{Code: "unreachable", Err: errors.New("no route")}
	}}
	c, stop := start(t, queue{s}, courier.Options{Device: "ws-1", Peer: p, DownAfter: 30 * time.Millisecond})
	appendOne(t, s)
	eventually(t, "down", func() bool { return c.Status().Collector == "down" && c.Status().Code == "unreachable" })
	eventually(t, "many tries", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.tries > 20 })
	p.set(nil)
	eventually(t, "up", func() bool {
		return c.Status().Collector == "up" && c.Status().Code == "" && c.Status().Acked == s.State().Head
	})
	stop()
	eventuallySent(t, p, s)
	if got := p.types(); count(got, "collector.down unreachable") != 1 || count(got, "collector.up") > 1 || count(got, "lock.proved") != 1 {
		t.Error(got)
	}
}

func eventuallySent(t *testing.T, p *peer, s *spool.Spool) {
	t.Helper()
	rs, err := s.Next(0, 100, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, rs...)
}

func appendOne(t testing.TB, s *spool.Spool) {
	t.Helper()
	e := newEvent(audit.LockProved)
	if _, _, err := s.Append([]audit.Event{e}); err != nil {
		t.Fatal(err)
	}
}

// TestFlapping: a collector that works every other time makes no stream of events about itself.
func TestFlapping(t *testing.T) {
	s := openSpool(t, t.TempDir(), "ws-1")
	p := &peer{}
	n := 0
	p.send = func(uplink.Batch, []audit.Record) (uplink.Ack, error) {
		if n++; n%2 == 1 {
			return uplink.Ack{}, &courier.AnswerError{Code: "answer", Err: errors.New("500")}
		}
		return uplink.Ack{}, nil
	}
	e := startEnforcer(t, filepath.Join(t.TempDir(), "link.sock"), link.NewOutbox("cccccccc"))
	start(t, queue{s}, courier.Options{Device: "ws-1", Dial: e.dial, Peer: p})
	for i := range 40 {
		e.outbox.Add(newEvent(audit.LockProved))
		eventually(t, "sent", func() bool { return count(p.types(), "lock.proved") == i+1 })
	}
	if got := p.types(); len(got)-count(got, "lock.proved") > 5 {
		t.Error(got)
	}
}

// TestFork: the collector's signed word for another history ends the epoch, once, and loses nothing.
func TestFork(t *testing.T) {
	s := openSpool(t, t.TempDir(), "ws-1")
	for range 5 {
		appendOne(t, s)
	}
	epoch := s.State().Epoch
	p := &peer{renew: 1}
	p.send = func(b uplink.Batch, sent []audit.Record) (uplink.Ack, error) {
		if b.Epoch == epoch {
			return uplink.Ack{}, &courier.ForkError{}
		}
		return uplink.Ack{}, nil
	}
	start(t, queue{s}, courier.Options{Device: "ws-1", Peer: p})
	eventually(t, "all of it sent", func() bool { return count(p.types(), "lock.proved") == 5 })
	if got := p.types(); !slices.Contains(got, "spool.rollback fork") {
		t.Error(got)
	}
}

// TestForkOverAndOver: a collector turned bad cannot make epoch after epoch, nor empty the spool.
func TestForkOverAndOver(t *testing.T) {
	s := openSpool(t, t.TempDir(), "ws-1")
	for range 5 {
		appendOne(t, s)
	}
	p := &peer{send: func(uplink.Batch, []audit.Record) (uplink.Ack, error) { return uplink.Ack{}, &courier.ForkError{} }}
	c, stop := start(t, queue{s}, courier.Options{Device: "ws-1", Peer: p})
	eventually(t, "many tries", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.tries > 10 })
	if code := c.Status().Code; code != "fork" {
		t.Errorf("code %q", code)
	}
	stop()
	rs, err := s.Next(0, 100, 1<<20)
	if err != nil || len(rs) < 6 {
		t.Errorf("%d events left of 5 and the one that tells of the fork: %v", len(rs), err)
	}
	if st := s.State(); st.Acked != 0 || st.Head > 8 {
		t.Errorf("%+v", st)
	}
}

// TestAckForNothing: a collector that goes on naming an old event is waited for, not believed.
func TestAckForNothing(t *testing.T) {
	s := openSpool(t, t.TempDir(), "ws-1")
	appendOne(t, s)
	p := &peer{send: func(b uplink.Batch, _ []audit.Record) (uplink.Ack, error) {
		return uplink.Ack{Device: b.Device, Epoch: b.Epoch, Hash: audit.Zero}, nil
	}}
	c, _ := start(t, queue{s}, courier.Options{Device: "ws-1", Peer: p})
	eventually(t, "waits", func() bool { return c.Status().Code == "hole" })
	if s.State().Acked != 0 {
		t.Error("acknowledged")
	}
}

// TestDamagedSpoolEndsRun, so that it is opened again.
func TestDamagedSpoolEndsRun(t *testing.T) {
	damaged := errors.New("damaged")
	q := &broken{queue{openSpool(t, t.TempDir(), "ws-1")}, damaged}
	appendOne(t, q.Spool)
	c := courier.New(q, courier.Options{Device: "ws-1", Peer: &peer{}, Stamp: newEvent, Log: slog.New(slog.DiscardHandler),
		Fatal: func(err error) bool { return errors.Is(err, damaged) }})
	if err := c.Run(context.Background()); !errors.Is(err, damaged) {
		t.Error(err)
	}
}

type broken struct {
	queue
	err error
}

func (b *broken) Next(uint64, int, int) ([]audit.Record, error) {
	return nil, fmt.Errorf("read: %w", b.err)
}

func TestProbeWhenThereIsNothingToSend(t *testing.T) {
	s := openSpool(t, t.TempDir(), "ws-1")
	p := &peer{renew: 1, probe: func() error { return &courier.AnswerError{Code: "tls", Err: errors.New("no")} }}
	c, _ := start(t, queue{s}, courier.Options{Device: "ws-1", Peer: p, DownAfter: time.Hour})
	eventually(t, "known to fail", func() bool { return c.Status().Code == "tls" })
	p.mu.Lock()
	p.probe = nil
	p.mu.Unlock()
	eventually(t, "known to work", func() bool { return c.Status().Collector == "up" })
}
