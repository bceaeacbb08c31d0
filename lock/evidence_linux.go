package lock

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/godbus/dbus/v5"

	"stepaway/policy"
	"stepaway/proc"
	"stepaway/session"
)

// evidence is a proof and what it rests on.
type evidence struct {
	proof  policy.Proof
	locker proc.Process // for ProofLocker
}

// asking is what a look has to know of the request that it follows; the zero value is that of a look without one.
type asking struct {
	since     time.Duration // boot time of the request
	contested bool          // the keyboard was another client's before it, with no locker there
}

// evidence looks for the strongest proof there is. Where it cannot be told in time there is none: the user's processes and
// file systems are looked at, and a look at those can hang in the kernel.
func (l *Ladder) evidence(ctx context.Context, s session.Session, a asking) evidence {
	got := make(chan evidence, 1)
	err := l.within(ctx, lookMost, "look at "+s.ID, func() { got <- l.gather(ctx, s, a) })
	select {
	case e := <-got:
		return e
	default:
	}
	if err != nil && ctx.Err() == nil {
		l.o.Log.Warn("lock: a look was not finished", "session", s.ID, "err", err)
	}
	return evidence{proof: policy.ProofNone}
}

func (l *Ladder) gather(ctx context.Context, s session.Session, a asking) evidence {
	st := l.state(ctx, s)
	if st.ended {
		return evidence{proof: policy.ProofEnded}
	}
	if l.greeterInFront(ctx, s, st) {
		return evidence{proof: policy.ProofGreeter}
	}
	if p, ok := l.locker(ctx, s, a); ok {
		return evidence{policy.ProofLocker, p}
	}
	if st.hint {
		return evidence{proof: policy.ProofClaim}
	}
	return evidence{proof: policy.ProofNone}
}

// state is what logind says of a session. The zero value is what an unanswered question leaves: nothing proved.
type state struct {
	ended bool
	away  bool // not in front on its seat
	hint  bool
}

const (
	login1     = "org.freedesktop.login1"
	login1Path = dbus.ObjectPath("/org/freedesktop/login1")
)

// stateLimit is how long a look waits for logind.
const stateLimit = 500 * time.Millisecond

// state asks logind. Without an answer a session has ended when nothing of it runs.
func (l *Ladder) state(ctx context.Context, s session.Session) state {
	ctx, cancel := context.WithTimeout(ctx, stateLimit)
	defer cancel()
	if l.o.Bus == nil {
		return state{ended: nothingRuns(s)}
	}
	body, err := l.o.Bus.Call(ctx, login1, login1Path, login1+".Manager.GetSession", s.ID)
	var path dbus.ObjectPath
	if err == nil {
		err = dbus.Store(body, &path)
	}
	if err != nil {
		return state{ended: named(err, login1+".NoSuchSession") || nothingRuns(s)}
	}
	p, err := l.properties(ctx, path, login1+".Session")
	if err != nil {
		return state{ended: named(err, "org.freedesktop.DBus.Error.UnknownObject") || nothingRuns(s)}
	}
	var st state
	active, known := p["Active"].Value().(bool)
	st.away = known && !active
	st.hint, _ = p["LockedHint"].Value().(bool)
	return st
}

// nothingRuns reports whether the leader has ended, and with it all that was in the session's control group.
func nothingRuns(s session.Session) bool {
	if !leaderEnded(s) {
		return false
	}
	pids, err := proc.InGroup(s.Scope)
	return s.Scope == "" || len(pids) == 0 && (err == nil || errors.Is(err, os.ErrNotExist))
}

// leaderEnded reports whether the process that opened a session is gone. A pid that another process has got since does
// not count as the leader.
func leaderEnded(s session.Session) bool {
	if s.Leader <= 1 {
		return false
	}
	p, err := proc.Read(s.Leader)
	if err != nil {
		return errors.Is(err, proc.ErrGone)
	}
	return !p.Alive()
}

func (l *Ladder) properties(ctx context.Context, path dbus.ObjectPath, iface string) (map[string]dbus.Variant, error) {
	body, err := l.o.Bus.Call(ctx, login1, path, "org.freedesktop.DBus.Properties.GetAll", iface)
	if err != nil {
		return nil, err
	}
	var p map[string]dbus.Variant
	return p, dbus.Store(body, &p)
}

// named reports whether an error is the bus's error of that name.
func named(err error, name string) bool {
	var e dbus.Error
	return errors.As(err, &e) && e.Name == name
}

// front is who is in front on a seat.
type front struct {
	id    string
	class string
	uid   uint32
}

// greeterInFront reports whether a greeter has taken the session's seat: it is another user's session, of the class that
// only a program with root's rights can have given it.
func (l *Ladder) greeterInFront(ctx context.Context, s session.Session, st state) bool {
	if !st.away || s.Seat == "" {
		return false
	}
	f, err := l.front(ctx, s.Seat)
	return err == nil && f.id != s.ID && f.isGreeter(s)
}

func (f front) isGreeter(s session.Session) bool {
	return f.class == "greeter" && f.uid != s.UID
}

func (l *Ladder) front(ctx context.Context, seat string) (front, error) {
	body, err := l.o.Bus.Call(ctx, login1, login1Path, login1+".Manager.GetSeat", seat)
	if err != nil {
		return front{}, err
	}
	var path dbus.ObjectPath
	if err := dbus.Store(body, &path); err != nil {
		return front{}, err
	}
	p, err := l.properties(ctx, path, login1+".Seat")
	if err != nil {
		return front{}, err
	}
	var active struct {
		ID   string
		Path dbus.ObjectPath
	}
	if err := dbus.Store([]any{p["ActiveSession"].Value()}, &active); err != nil {
		return front{}, err
	}
	return l.describe(ctx, active.ID, active.Path)
}

// describe reads class and user of a session.
func (l *Ladder) describe(ctx context.Context, id string, path dbus.ObjectPath) (front, error) {
	p, err := l.properties(ctx, path, login1+".Session")
	if err != nil {
		return front{}, err
	}
	var user struct {
		UID  uint32
		Path dbus.ObjectPath
	}
	if err := dbus.Store([]any{p["User"].Value()}, &user); err != nil {
		return front{}, err
	}
	class, _ := p["Class"].Value().(string)
	return front{id: id, class: class, uid: user.UID}, nil
}

// locker looks for a genuine locker that has the session's screen. On X11 the server is asked who covers it. On Wayland
// nobody can be asked: there a locker counts that was started after since, for one started before may be left over, or
// may cover another screen than this one.
func (l *Ladder) locker(ctx context.Context, s session.Session, a asking) (proc.Process, bool) {
	switch s.Kind {
	case session.X11, session.Unknown:
		return l.onScreen(ctx, s, a)
	case session.Wayland:
		return l.startedAfter(s, a.since)
	}
	return proc.Process{}, false
}

// slack is the coarseness of start times.
const slack = 20 * time.Millisecond

// startedAfter finds a genuine locker among the processes of the session's user. Lockers have helpers of the same
// executable, so one that is stopped takes all of its kind with it.
func (l *Ladder) startedAfter(s session.Session, since time.Duration) (proc.Process, bool) {
	known, stopped := l.knownFallbacks(), map[string]bool{}
	var found []proc.Process
	for _, pid := range members(s) {
		p, ok := genuine(pid, s.UID, known)
		if ok && p.Start+slack >= since {
			found = append(found, p)
		}
		if p.UID == s.UID && p.Alive() && !p.Running() {
			stopped[p.Exe] = true
		}
	}
	for _, p := range found {
		if !stopped[p.Exe] {
			return p, true
		}
	}
	return proc.Process{}, false
}
