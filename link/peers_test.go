package link

import (
	"context"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

// waits is generous: these tests also run on busy machines.
const waits = 30 * time.Second

// fakeHost stands in for the enforcer: it grants trays for session c2, the courier to root, and writes down what it
// is told.
type fakeHost struct {
	mu      sync.Mutex
	peers   []Peer // of trays and status
	show    func(State)
	up      int
	down    int
	locks   int
	said    []*Courier
	status  Status
	courier string // account
}

func newFakeHost() *fakeHost {
	return &fakeHost{courier: myself.account(), status: Status{Version: "fake", Sessions: []SessionStatus{}}}
}

func (h *fakeHost) Tray(p Peer, session string) (id, refusal string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.peers = append(h.peers, p)
	if session != "c2" {
		return "", "session"
	}
	return session, ""
}

func (h *fakeHost) TrayUp(_ string, _ Peer, show func(State)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.up, h.show = h.up+1, show
}

func (h *fakeHost) TrayDown(string, Peer) { h.mu.Lock(); h.down++; h.mu.Unlock() }
func (h *fakeHost) LockNow(string)        { h.mu.Lock(); h.locks++; h.mu.Unlock() }
func (h *fakeHost) Courier(p Peer) bool   { return p.account() == h.courier }
func (h *fakeHost) CourierSaid(c *Courier) {
	h.mu.Lock()
	h.said = append(h.said, c)
	h.mu.Unlock()
}

func (h *fakeHost) Status(_ context.Context, p Peer) (Status, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.peers = append(h.peers, p)
	return h.status, nil
}

// see reads what the host was told.
func see[T any](h *fakeHost, what func(*fakeHost) T) T {
	h.mu.Lock()
	defer h.mu.Unlock()
	return what(h)
}

// until polls for what is sure to come.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(waits); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", waits, what)
		}
	}
}

// serve runs a server until the test ends, and checks that it leaves nothing.
func serve(t *testing.T, h Host, o *Outbox, change func(*timing)) string {
	t.Helper()
	path := address(t)
	nothingLeft := leaves(t)
	s, err := Listen(path, access(t), h, o)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&s.timing)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(waits):
			t.Error("Serve did not end")
		}
		if Answered(path) {
			t.Error("the link still answers")
		}
		checkGone(t, path)
		if s.total != 0 || len(s.users) != 0 || s.couriers != 0 {
			t.Errorf("still counted: %d, %v, %d couriers", s.total, s.users, s.couriers)
		}
		nothingLeft()
	})
	return path
}

// leaves compares goroutines and descriptors with those of now.
func leaves(t *testing.T) func() {
	fds := descriptors(t)
	wasFDs, wasRoutines := fds(), runtime.NumGoroutine()
	return func() {
		t.Helper()
		for end := time.Now().Add(waits); fds() > wasFDs || runtime.NumGoroutine() > wasRoutines; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Errorf("descriptors %d -> %d, goroutines %d -> %d", wasFDs, fds(), wasRoutines, runtime.NumGoroutine())
				return
			}
		}
	}
}

// peer is one end of a connection in a test; it fails the test by itself.
type peer struct {
	t *testing.T
	net.Conn
}

func connect(t *testing.T, path string, ms ...Message) peer {
	t.Helper()
	c, err := dial(path)
	if err != nil {
		t.Fatal(err)
	}
	p := peer{t, c}
	t.Cleanup(func() { c.Close() })
	p.say(ms...)
	return p
}

func (p peer) say(ms ...Message) {
	p.t.Helper()
	for _, m := range ms {
		if err := Write(p, m); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p peer) hear() Message {
	p.t.Helper()
	p.SetReadDeadline(time.Now().Add(waits))
	m, err := Read(p)
	if err != nil {
		p.t.Fatal(err)
	}
	return m
}

func (p peer) refused(code string) {
	p.t.Helper()
	if m := p.hear(); m.Refused == nil || m.Refused.Code != code {
		p.t.Errorf("heard %+v, want to be refused for %q", m, code)
	}
}

// ended waits for the other end to close; what it still says is dropped.
func (p peer) ended() {
	p.t.Helper()
	p.SetReadDeadline(time.Now().Add(waits))
	for {
		if _, err := Read(p); os.IsTimeout(err) {
			p.t.Error("the connection goes on")
			return
		} else if err != nil {
			return
		}
	}
}

var (
	helloTray    = Message{Hello: &Hello{Role: RoleTray, Session: "c2", Version: "t"}}
	helloCourier = Message{Hello: &Hello{Role: RoleCourier, Version: "t"}}
	helloStatus  = Message{Hello: &Hello{Role: RoleStatus, Version: "t"}}
	beat         = Message{Beat: &Beat{}}
	lockNow      = Message{LockNow: &LockNow{}}
	ask          = Message{Ask: &Ask{}}
)

// batchNumbers reads events until n numbers were had.
func (p peer) batchNumbers(n int) []uint64 {
	p.t.Helper()
	var ns []uint64
	for len(ns) < n {
		m := p.hear()
		if m.Events == nil {
			p.t.Fatalf("heard %+v, want events", m)
		}
		ns = append(ns, numbers(m.Events.Batch)...)
	}
	return ns
}

func series(from, to uint64) []uint64 {
	var ns []uint64
	for n := from; n <= to; n++ {
		ns = append(ns, n)
	}
	return ns
}

func wantSeries(t *testing.T, got []uint64, from, to uint64) {
	t.Helper()
	if !slices.Equal(got, series(from, to)) {
		t.Errorf("events %v, want %d to %d", got, from, to)
	}
}
