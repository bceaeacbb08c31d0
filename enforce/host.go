package enforce

import (
	"cmp"
	"context"
	"slices"

	"stepaway/audit"
	"stepaway/deadline"
	"stepaway/link"
	"stepaway/session"
)

// The methods of this file are link.Host: they are called on the link's goroutines.

var _ link.Host = (*Enforcer)(nil)

// Tray grants a tray for one of the peer's own sessions: the one it names or, when it names none that is
// known, its user's only desktop.
func (e *Enforcer) Tray(p link.Peer, id string) (string, string) {
	s, ok := e.sessionFor(p, id)
	if !ok {
		return "", "session"
	}
	if e.o.Tray != nil && !e.o.Tray.Genuine(p) {
		e.post(context.Background(), func() { e.impostor(s.ID) })
		return "", "role"
	}
	return s.ID, ""
}

// owns reports whether the session is one of the peer's own user, and the peer's own where the kernel tells which that is.
func owns(p link.Peer, s session.Session) bool {
	return p.UID == s.UID && p.SID == s.SID && (p.Session == "" || p.Session == s.ID)
}

func (e *Enforcer) sessionFor(p link.Peer, id string) (session.Session, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s, ok := e.known[id]; ok && owns(p, s) {
		return s, true
	}
	var only session.Session
	n := 0
	for _, s := range e.known {
		if owns(p, s) && s.Kind.Graphical() {
			only = s
			n++
		}
	}
	return only, n == 1
}

func (e *Enforcer) impostor(id string) {
	g, now := e.guards[id], e.o.Clock.Now()
	if g == nil || now < g.impostor+impostorEvery {
		return
	}
	g.impostor = now
	e.recordOf(g, audit.Event{Type: audit.TrayImpostor, Outcome: audit.Failure})
}

// TrayUp takes a granted tray.
func (e *Enforcer) TrayUp(id string, p link.Peer, show func(link.State)) {
	e.post(context.Background(), func() {
		g := e.guards[id]
		if g == nil {
			return
		}
		if g.tray.lost {
			e.recordOf(g, audit.Event{Type: audit.TrayRestored})
		}
		g.tray = trayState{show: show, peer: p, due: deadline.Never}
		g.shown = link.State{}
	})
}

// TrayDown takes the loss of a granted tray.
func (e *Enforcer) TrayDown(id string, p link.Peer) {
	e.post(context.Background(), func() {
		g := e.guards[id]
		if g == nil || g.tray.peer != p || g.tray.show == nil {
			return
		}
		e.trayLost(g)
	})
}

func (e *Enforcer) trayLost(g *guard) {
	e.recordOf(g, audit.Event{Type: audit.TrayLost, Outcome: audit.Failure})
	g.tray = trayState{due: deadline.Never, lost: true, old: g.tray.peer.PID}
	if e.o.Tray != nil {
		g.tray.due = e.o.Clock.Now() + trayBack
	}
}

// LockNow brings a session's deadline to now.
func (e *Enforcer) LockNow(id string) {
	e.post(context.Background(), func() {
		g := e.guards[id]
		if g == nil || e.securedOrLate(g) {
			return
		}
		g.reason = audit.Manual
		now := e.o.Clock.Now()
		g.m.Shorten(now, now)
	})
}

// Courier says whether a peer may take the events.
func (e *Enforcer) Courier(p link.Peer) bool { return e.o.Courier(p) }

// CourierSaid keeps what the courier tells of itself.
func (e *Enforcer) CourierSaid(c *link.Courier) {
	e.post(context.Background(), func() { e.courier, e.news = c, true })
}

// Status tells a peer what it may know: root everything, a user his own sessions.
func (e *Enforcer) Status(ctx context.Context, p link.Peer) (link.Status, error) {
	out := make(chan link.Status, 1)
	e.post(ctx, func() { out <- e.status(p) })
	select {
	case st := <-out:
		return st, nil
	case <-ctx.Done():
		return link.Status{}, ctx.Err()
	}
}

func (e *Enforcer) status(p link.Peer) link.Status {
	now := e.o.Clock.Now()
	_, waiting, dropped := e.o.Outbox.Counts()
	st := link.Status{Version: e.o.Version, Run: e.o.Outbox.Run, NowMS: now.Milliseconds(), Policy: e.hash,
		Sessions: []link.SessionStatus{}, Waiting: waiting, Dropped: dropped, Courier: e.courier, Limits: e.o.Promise, Totals: e.totals.copy()}
	for _, g := range e.guards {
		if p.Root || owns(p, g.s) {
			st.Sessions = append(st.Sessions, e.sessionStatus(g, now))
		}
	}
	slices.SortFunc(st.Sessions, func(a, b link.SessionStatus) int { return cmp.Compare(a.ID, b.ID) })
	return st
}

func (e *Enforcer) sessionStatus(g *guard, now Instant) link.SessionStatus {
	_, why := e.o.Inputs.Choice(g.s.ID)
	st := link.SessionStatus{ID: g.s.ID, User: g.s.User, UID: g.s.UID, Kind: string(g.s.Kind), Seat: g.s.Seat,
		Active: g.s.Active, IdleMS: (now - g.m.LastInput()).Milliseconds(), State: e.state(g), Why: why,
		Proof: string(g.proof), Tray: g.tray.show != nil, Readable: g.input.Readable}
	if !g.input.Readable {
		st.IdleMS = -1
	}
	return st
}
