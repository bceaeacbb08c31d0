package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"stepaway/audit"
)

func TestStatus(t *testing.T) {
	h := newFakeHost()
	h.status.Sessions = append(h.status.Sessions, SessionStatus{ID: "c2", IdleMS: -1})
	path := serve(t, h, NewOutbox("ab"), nil)
	p := connect(t, path, helloStatus, ask)
	if m := p.hear(); m.Status == nil || m.Status.Version != "fake" || m.Status.Sessions[0].IdleMS != -1 {
		t.Errorf("heard %+v", m)
	}
	p.ended()
	me := myself
	if got := see(h, func(h *fakeHost) []Peer { return h.peers }); len(got) != 1 || got[0].Conn == 0 || got[0].PID != me.PID || got[0].UID != me.UID || got[0].SID != me.SID || got[0].Session != me.Session {
		t.Errorf("the host saw %v, want %v", got, me)
	}
}

// TestStatusOfManySessions: an answer that is too long for a frame is cut, not withheld.
func TestStatusOfManySessions(t *testing.T) {
	h := newFakeHost()
	for i := range 1000 {
		h.status.Sessions = append(h.status.Sessions, SessionStatus{ID: fmt.Sprint("c", i), Why: strings.Repeat("y", 100)})
	}
	m := connect(t, serve(t, h, NewOutbox("ab"), nil), helloStatus, ask).hear()
	if m.Status == nil || len(m.Status.Sessions) < 50 || len(m.Status.Limits) != 1 {
		t.Errorf("heard %.300v", m.Status)
	}
}

func TestRefusals(t *testing.T) {
	h := newFakeHost()
	h.courier = "4711"
	path := serve(t, h, NewOutbox("ab"), nil)
	for _, c := range []struct {
		code string
		say  []Message
	}{
		{"role", []Message{{Hello: &Hello{Role: "admin"}}}},
		{"role", []Message{{Hello: &Hello{}}}},
		{"role", []Message{helloCourier}},
		{"session", []Message{{Hello: &Hello{Role: RoleTray, Session: "c3"}}}},
		{"protocol", []Message{beat}},
		{"protocol", []Message{lockNow}},
		{"protocol", []Message{ask}},
		{"protocol", []Message{{State: &State{Phase: Active}}}},
		{"protocol", []Message{helloStatus, beat}},
		{"protocol", []Message{helloStatus, helloStatus}},
	} {
		p := connect(t, path, c.say...)
		p.refused(c.code)
		p.ended()
		p.Close()
	}
	p := connect(t, path)
	if _, err := p.Write([]byte("\x00\x00\x00\x02{]")); err != nil {
		t.Fatal(err)
	}
	p.refused("protocol")
	p.ended()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.up != 0 || h.locks != 0 || len(h.said) != 0 {
		t.Errorf("the host was told: %d up, %d locks, courier %v", h.up, h.locks, h.said)
	}
}

// TestTraySaysTooMuch: anything but Beat and LockNow ends a tray's connection, and none of it reaches the host.
func TestTraySaysTooMuch(t *testing.T) {
	h := newFakeHost()
	path := serve(t, h, NewOutbox("ab"), nil)
	n := 0
	for _, m := range everyMessage {
		if m.Beat != nil || m.LockNow != nil {
			continue
		}
		p := connect(t, path, helloTray, m)
		p.ended()
		p.Close()
		n++
	}
	until(t, "all trays down", func() bool { return see(h, func(h *fakeHost) int { return h.down }) == n })
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.up != n || h.locks != 0 || len(h.said) != 0 {
		t.Errorf("the host was told: %d up of %d, %d locks, courier %v", h.up, n, h.locks, h.said)
	}
}

func TestTray(t *testing.T) {
	h := newFakeHost()
	path := serve(t, h, NewOutbox("ab"), nil)
	c, err := Open(path, Hello{Role: RoleTray, Session: "c2"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	until(t, "tray up", func() bool { return see(h, func(h *fakeHost) bool { return h.show != nil }) })
	h.show(State{Session: "c2", Phase: Warned, DeadlineMS: 7})
	if m, err := c.Hear(); err != nil || m.State == nil || m.State.DeadlineMS != 7 {
		t.Errorf("heard %+v, %v", m, err)
	}
	for range 5 {
		if err := c.Say(beat); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Say(lockNow); err != nil {
		t.Fatal(err)
	}
	until(t, "lock asked for", func() bool { return see(h, func(h *fakeHost) bool { return h.locks == 1 }) })
	c.Close()
	until(t, "tray down", func() bool { return see(h, func(h *fakeHost) bool { return h.down == 1 }) })
	h.show(State{}) // after its end a tray takes nothing and disturbs nobody
	if m, err := c.Hear(); err == nil {
		t.Errorf("heard %+v after Close", m)
	}
}

func TestClientIsTurnedAway(t *testing.T) {
	path := serve(t, newFakeHost(), NewOutbox("ab"), nil)
	c, err := Open(path, Hello{Role: RoleTray, Session: "other"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if m, err := c.Hear(); err == nil || !strings.Contains(err.Error(), `refused the connection: "session"`) {
		t.Errorf("heard %+v, %v", m, err)
	}
	if _, err := Open(path+".gone", Hello{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no socket: %v", err)
	}
}

// TestSlowTray never reads while the host shows it much. Nobody waits for it, and when it reads, the last it gets
// is the newest.
func TestSlowTray(t *testing.T) {
	h := newFakeHost()
	path := serve(t, h, NewOutbox("ab"), func(tm *timing) { tm.write = 10 * waits })
	p := connect(t, path, helloTray)
	until(t, "tray up", func() bool { return see(h, func(h *fakeHost) bool { return h.show != nil }) })
	const shown = 200000
	for i := range shown {
		h.show(State{Session: "c2", Phase: Active, DeadlineMS: int64(i)})
	}
	if m := connect(t, path, helloStatus, ask).hear(); m.Status == nil {
		t.Errorf("heard %+v beside a slow tray", m)
	}
	for n, last := 1, int64(-1); ; n++ {
		m := p.hear()
		if m.State == nil || m.State.DeadlineMS <= last {
			t.Fatalf("heard %+v after %d", m, last)
		}
		if last = m.State.DeadlineMS; last == shown-1 {
			if n > shown/10 {
				t.Errorf("%d of %d states kept for a tray that did not read", n, shown)
			}
			return
		}
	}
}

func TestCourier(t *testing.T) {
	h, o := newFakeHost(), NewOutbox("ab")
	path := serve(t, h, o, nil)
	for range 100 {
		o.Add(audit.Event{Type: audit.LockProved})
	}
	p := connect(t, path, helloCourier)
	wantSeries(t, p.batchNumbers(100), 1, 100)
	p.say(Message{Stored: &Stored{Run: "zz", N: 100}}, Message{Stored: &Stored{Run: "ab", N: 1000}}, Message{Stored: &Stored{Run: "ab", N: 40}})
	until(t, "40 forgotten", func() bool { _, w, _ := o.Counts(); return w == 60 })
	o.Add(audit.Event{Type: audit.LockProved})
	wantSeries(t, p.batchNumbers(1), 101, 101) // none twice on one connection
	p.say(Message{Courier: &Courier{Epoch: "e", Head: 40}})
	until(t, "courier's word", func() bool { return see(h, func(h *fakeHost) bool { return len(h.said) == 1 && h.said[0].Head == 40 }) })

	q := connect(t, path, helloCourier) // a new one before the old one's end
	wantSeries(t, q.batchNumbers(61), 41, 101)
	p.Close()
	q.say(Message{Stored: &Stored{Run: "ab", N: 101}})
	until(t, "all forgotten", func() bool { _, w, _ := o.Counts(); return w == 0 })
	time.Sleep(20 * time.Millisecond)
	if n := see(h, func(h *fakeHost) int { return len(h.said) }); n != 1 {
		t.Error("the old courier's end was told while another is there")
	}
	q.Close()
	until(t, "courier gone", func() bool { return see(h, func(h *fakeHost) bool { return len(h.said) == 2 && h.said[1] == nil }) })

	o.Add(audit.Event{Type: audit.LockProved})
	r := connect(t, path, helloCourier)
	wantSeries(t, r.batchNumbers(1), 102, 102)
	for _, m := range []Message{beat, lockNow, ask, {Events: &Events{}}} {
		r.Close()
		r = connect(t, path, helloCourier, m)
		r.ended()
	}
}

// TestCourierOfLongEvents: what does not fit is split, and one event too long for any frame holds up nothing.
func TestCourierOfLongEvents(t *testing.T) {
	o := NewOutbox("ab")
	long := func(n int) audit.Event { return audit.Event{Type: audit.LockProved, Agent: strings.Repeat("x", n)} }
	for range 20 {
		o.Add(long(20000))
	}
	o.Add(long(MaxFrame)) // 21
	o.Add(long(1))
	p := connect(t, serve(t, newFakeHost(), o, nil), helloCourier)
	got := p.batchNumbers(21)
	wantSeries(t, got[:20], 1, 20)
	wantSeries(t, got[20:], 22, 22)
}

func TestFourConnectionsOfOneUser(t *testing.T) {
	h := newFakeHost()
	path := serve(t, h, NewOutbox("ab"), nil)
	var held []peer
	for range maxPerUser {
		held = append(held, connect(t, path))
	}
	connect(t, path).refused("busy")
	held[0].Close()
	until(t, "one place free", func() bool {
		c, err := dial(path)
		if err != nil {
			t.Fatal(err)
		}
		p := peer{t, c}
		defer c.Close()
		Write(p, helloStatus) // the server may have closed already
		Write(p, ask)
		return p.hear().Status != nil
	})
}

func TestPlacesForRootAndCourier(t *testing.T) {
	s := &Server{host: &fakeHost{courier: "7"}, users: map[string]int{}}
	for i := range maxPeers {
		if !s.enter(Peer{UID: uint32(1000 + i)}) {
			t.Fatalf("user %d of %d is turned away", i, maxPeers)
		}
	}
	if s.enter(Peer{UID: 999}) {
		t.Error("more than maxPeers")
	}
	for _, uid := range []uint32{0, 7} {
		for i := range maxPerUser + 1 {
			if s.enter(Peer{UID: uid, Root: uid == 0}) != (i < maxPerUser) {
				t.Errorf("connection %d of uid %d", i, uid)
			}
		}
		for range maxPerUser {
			s.leave(Peer{UID: uid})
		}
	}
	s.leave(Peer{UID: 1000})
	if !s.enter(Peer{UID: 999}) {
		t.Error("a place that was left is not given again")
	}
}

// TestPeerOfTheLastMoment connects while Serve ends.
func TestPeerOfTheLastMoment(t *testing.T) {
	defer leaves(t)()
	path := address(t)
	for range 100 {
		s, err := Listen(path, access(t), newFakeHost(), NewOutbox("ab"))
		if err != nil {
			t.Fatal(err)
		}
		c, err := dial(path)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		stop()
		if err := s.Serve(ctx); err != nil {
			t.Fatal(err)
		}
		checkGone(t, path)
		c.SetReadDeadline(time.Now().Add(waits))
		if _, err := Read(c); err == nil || os.IsTimeout(err) {
			t.Fatalf("the connection goes on: %v", err)
		}
		c.Close()
	}
}

// fullEvent has every field at its longest.
func fullEvent() audit.Event {
	l := audit.Label(strings.Repeat("a", 64))
	s, ms := string(l), int64(math.MinInt64)
	return audit.Event{V: 1, Type: audit.ClientEnded, Device: l, Site: l, Unit: l, Epoch: s, Seq: math.MaxUint64, Boot: s, Run: s,
		N: math.MaxUint64, Wall: time.Date(2026, 11, 22, 10, 0, 0, 123456789, time.FixedZone("", 5*3600)), BootMS: math.MinInt64,
		Agent: s, Policy: s, Severity: audit.Warning, Outcome: audit.Success, Reason: audit.UnknownReason, Prev: s,
		Session: &audit.Session{ID: l, Kind: l, UID: math.MaxUint32, User: l, Role: l, Seat: l},
		Facts: &audit.Facts{IdleMS: &ms, LateMS: &ms, LimitMS: &ms, Rung: l, Proof: l, Attempt: math.MinInt64, Source: l, Client: l,
			Key: l, Old: l, New: l, Count: math.MinInt64, From: math.MaxUint64, To: math.MaxUint64, Code: l, Ref: l}}
}

func TestFullBatchFits(t *testing.T) {
	e := Events{Run: strings.Repeat("a", 64), Batch: slices.Repeat([]audit.Event{fullEvent()}, batchEvents)}
	if err := Write(io.Discard, Message{Events: &e}); err != nil {
		t.Error(err)
	}
}
