package main

import (
	"context"
	"flag"
	"net"
	"os"
	"os/user"
	"strconv"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"

	"stepaway/clock"
	"stepaway/cmdline"
	"stepaway/enforce"
	"stepaway/idle"
	"stepaway/link"
	"stepaway/lock"
	"stepaway/sdnotify"
	"stepaway/session"
	"stepaway/session/logind"
)

// courierAccount is the account of the courier's service.
const courierAccount = "stepaway"

// promise is what an agent without root cannot promise, in plain words.
var promise = []string{
	"runs as the user it watches: that user can stop it, and input that programs make cannot always be told from hardware",
	"no greeter and no ending of the session as a last resort; locks by the desktop's locker or the fallback of the policy",
}

// systemVerbs are the commands that only this system has: none.
var systemVerbs []cmdline.Verb

// systemFlags are the flags of run that only this system has: none.
type systemFlags struct{}

func (systemFlags) registerSystem(*flag.FlagSet) {}

// whoGuardsAll may see and secure every session.
const whoGuardsAll = "root"

func privileged() bool { return os.Geteuid() == 0 }

// looker is who looks at the machine.
func looker() int { return os.Geteuid() }

var isLocker = lock.IsLocker

// dialStatus connects to the agent, whoever it runs as: nothing is told to it.
func dialStatus(socket string) (net.Conn, error) {
	return net.DialTimeout("unix", socket, 2*time.Second)
}

// inherit takes the link's socket from the service manager, nil where that made none.
func inherit(path string) (net.Listener, error) {
	l, err := sdnotify.Listener(path)
	if l == nil {
		return nil, err
	}
	return l, err
}

// parts are logind, the devices and screens of sessions, and the ladder.
func (a *agent) parts(ctx context.Context) (parts, error) {
	inputs := idle.NewWatch(idle.Options{Root: !a.flags.session, Log: a.log})
	sessions := a.sessions()
	ladder := a.ladder(sessions)
	return parts{sessions: sessions, inputs: sight{inputs}, ladder: climber{ladder}, trays: a.trays(ctx, ladder), sleeps: a.sleeps(ctx),
		close: func() {
			sessions.Close()
			inputs.Close()
		}}, nil
}

func (a *agent) ladder(sessions source) *lock.Ladder {
	o := lock.Options{Root: !a.flags.session, Log: a.log, Now: clock.Now}
	if bus, ok := sessions.(lock.Bus); ok {
		o.Bus = bus
	}
	return lock.New(o)
}

// open opens the link and serves it.
func (a *agent) open(ctx context.Context, e *enforce.Enforcer, outbox *link.Outbox) error {
	if a.inherited != nil {
		server := link.ServeOn(a.inherited.(*net.UnixListener), e, outbox)
		a.work.Go(func() { server.Serve(ctx) })
		return nil
	}
	server, err := link.Listen(a.paths.socket, 0o666, e, outbox)
	if err != nil {
		return err
	}
	a.work.Go(func() { server.Serve(ctx) })
	return nil
}

// courierAllowed says which peers may take the events: the courier's account, root, and with --session the user.
func (a *agent) courierAllowed() func(link.Peer) bool {
	allowed := map[uint32]bool{0: true, uint32(os.Geteuid()): true}
	if u, err := user.Lookup(courierAccount); err == nil && !a.flags.session {
		if id, err := strconv.ParseUint(u.Uid, 10, 32); err == nil {
			allowed[uint32(id)] = true
		}
	}
	return func(p link.Peer) bool { return allowed[p.UID] }
}

// source is what tells who is logged on.
type source interface {
	enforce.Sessions
	Close()
}

func (a *agent) sessions() source {
	if a.flags.session {
		return ownSession{}
	}
	return &logins{changed: make(chan struct{}, 1), o: logind.Options{Groups: a.paths.groups(), Log: a.log}}
}

// ownSession is the caller's own session, for run --session.
type ownSession struct{}

func (ownSession) Snapshot(context.Context) ([]session.Session, error) {
	s, err := logind.Own()
	if err != nil {
		return nil, err
	}
	return []session.Session{s}, nil
}

func (ownSession) Changed() <-chan struct{} { return nil }
func (ownSession) Close()                   {}

// logins asks logind, connecting when it is there: the agent may start before the bus.
type logins struct {
	changed chan struct{}
	o       logind.Options
	mu      sync.Mutex
	logind  *logind.Logind
}

func (l *logins) Snapshot(ctx context.Context) ([]session.Session, error) {
	d, err := l.connected(ctx)
	if err != nil {
		return nil, err
	}
	return d.Snapshot(ctx)
}

func (l *logins) connected(ctx context.Context) (*logind.Logind, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.logind != nil {
		return l.logind, nil
	}
	d, err := l.o.Dial(ctx)
	if err == nil {
		l.logind = d
	}
	return d, err
}

// Changed is the hint of logind once it is connected; until then the loop asks again by itself.
func (l *logins) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.logind == nil {
		return nil
	}
	return l.logind.Changed()
}

func (l *logins) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.logind != nil {
		l.logind.Close()
	}
}

// sleeps tells the service of sleep that begins; a session of its own only has what its desktop does.
func (a *agent) sleeps(ctx context.Context) <-chan enforce.Sleep {
	if a.flags.session {
		return nil
	}
	out := make(chan enforce.Sleep)
	a.work.Go(func() {
		defer close(out)
		for s := range logind.Sleeps(ctx, a.log) {
			select {
			case out <- enforce.Sleep(s):
			case <-ctx.Done():
			}
		}
	})
	return out
}

// Call passes a call on to the system bus once logind was reached.
func (l *logins) Call(ctx context.Context, dest string, path dbus.ObjectPath, method string, args ...any) ([]any, error) {
	d, err := l.connected(ctx)
	if err != nil {
		return nil, err
	}
	return d.Call(ctx, dest, path, method, args...)
}

var _ lock.Bus = (*logind.Logind)(nil)
