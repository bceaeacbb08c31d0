package logind

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"

	"stepaway/clock"
)

const (
	busSocket = "/run/dbus/system_bus_socket"
	busName   = "org.freedesktop.login1"
	busPath   = dbus.ObjectPath("/org/freedesktop/login1")
	managed   = busName + ".Manager."
	callLimit = 2 * time.Second // for one answer of logind
	retry     = time.Second     // between attempts to connect again
)

// ErrDown is the error while there is no connection to the system bus.
var ErrDown = errors.New("no connection to the system bus")

// Logind is a connection of its own to the system bus. It may be used by several goroutines.
type Logind struct {
	changed chan struct{}
	stop    context.CancelFunc
	ended   chan struct{}
	facts   *facts

	mu   sync.Mutex
	conn *dbus.Conn // nil while down
}

// Options are what a connection may be given. The zero value is good.
type Options struct {
	Groups string       // file in which the groups of users are kept over restarts; "": they are not
	Log    *slog.Logger // for what is wrong with it; nil: not said
}

// Dial is that of Options without any.
func Dial(ctx context.Context) (*Logind, error) { return Options{}.Dial(ctx) }

// Dial connects to the system bus; the context bounds the first attempt only. Close what it returns.
func (o Options) Dial(ctx context.Context) (*Logind, error) {
	conn, signals, err := connect(ctx)
	if err != nil {
		return nil, err
	}
	lasting, stop := context.WithCancel(context.Background())
	l := &Logind{changed: make(chan struct{}, 1), stop: stop, ended: make(chan struct{}), conn: conn}
	l.facts = newFacts(lasting, l.hint)
	l.facts.groups.last = &lastKnown{path: o.Groups, log: o.Log}
	go l.listen(lasting, conn, signals)
	return l, nil
}

// Close ends the connection and waits until nothing of it runs any more.
func (l *Logind) Close() {
	l.stop()
	<-l.ended
	l.facts.wait()
}

// Changed receives after something about sessions may have changed; several changes may come as one. It is a hint:
// whoever decides by sessions also looks without it.
func (l *Logind) Changed() <-chan struct{} { return l.changed }

func (l *Logind) hint() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// listen turns signals into hints, and connects again when the connection is lost.
func (l *Logind) listen(ctx context.Context, conn *dbus.Conn, signals <-chan *dbus.Signal) {
	defer close(l.ended)
	for {
		l.follow(ctx, signals)
		l.use(nil)
		conn.Close()
		l.hint()
		if conn, signals = reconnect(ctx); conn == nil {
			return
		}
		l.use(conn)
		l.hint()
	}
}

// follow hints until the connection is lost (its channel closed) or the context ends.
func (l *Logind) follow(ctx context.Context, signals <-chan *dbus.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case s, ok := <-signals:
			if !ok {
				return
			}
			if s.Name == busName+".Session.Unlock" {
				l.facts.unlocked(s.Path, clock.Now())
			}
			if tells(s) {
				l.hint()
			}
		}
	}
}

// telling are the properties that a snapshot shows; others, such as IdleHint, change often.
var telling = []string{"Active", "LockedHint", "ActiveSession", "State", "Type", "Display", "Sessions"}

// tells reports whether a signal can mean that a snapshot would differ.
func tells(s *dbus.Signal) bool {
	if s.Name != "org.freedesktop.DBus.Properties.PropertiesChanged" || len(s.Body) < 3 {
		return true
	}
	changed, _ := s.Body[1].(map[string]dbus.Variant)
	invalid, _ := s.Body[2].([]string)
	return slices.ContainsFunc(telling, func(name string) bool {
		_, ok := changed[name]
		return ok || slices.Contains(invalid, name)
	})
}

func (l *Logind) use(conn *dbus.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn = conn
}

func reconnect(ctx context.Context) (*dbus.Conn, <-chan *dbus.Signal) {
	for ctx.Err() == nil {
		if conn, signals, err := connect(ctx); err == nil {
			return conn, signals
		}
		select {
		case <-ctx.Done():
		case <-time.After(retry):
		}
	}
	return nil, nil
}

// connect makes a connection and subscribes to what tells of sessions, within callLimit for each step.
func connect(ctx context.Context) (*dbus.Conn, <-chan *dbus.Signal, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*callLimit)
	defer cancel()
	conn, err := hello(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("connect to the system bus: %w", err)
	}
	for _, m := range [][]dbus.MatchOption{
		{dbus.WithMatchSender(busName), dbus.WithMatchInterface(busName + ".Manager")},
		{dbus.WithMatchSender(busName), dbus.WithMatchInterface("org.freedesktop.DBus.Properties"), dbus.WithMatchPathNamespace(busPath + "/session")},
		{dbus.WithMatchSender(busName), dbus.WithMatchInterface("org.freedesktop.DBus.Properties"), dbus.WithMatchPathNamespace(busPath + "/seat")},
		{dbus.WithMatchSender(busName), dbus.WithMatchInterface(busName + ".Session"), dbus.WithMatchMember("Unlock")},
		{dbus.WithMatchSender("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, busName)},
	} {
		if err := conn.AddMatchSignalContext(ctx, m...); err != nil {
			conn.Close()
			return nil, nil, fmt.Errorf("subscribe to logind: %w", err)
		}
	}
	signals := make(chan *dbus.Signal, 64)
	conn.Signal(signals)
	return conn, signals, nil
}

// hello authenticates on a fresh socket. The library's own dialling has no limit of time.
func hello(ctx context.Context) (*dbus.Conn, error) {
	var d net.Dialer
	sock, err := d.DialContext(ctx, "unix", busSocket)
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	_ = sock.SetDeadline(deadline)
	conn, err := dbus.NewConn(&stream{Conn: sock}, dbus.WithSignalHandler(&dropping{}))
	if err != nil {
		sock.Close()
		return nil, err
	}
	if err = conn.Auth(nil); err == nil {
		err = conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.Hello", 0).Err
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	_ = sock.SetDeadline(time.Time{})
	return conn, nil
}

// stream bounds each write: a bus that does not read must not hold the writer.
type stream struct{ net.Conn }

var _ io.ReadWriteCloser = (*stream)(nil)

func (s *stream) Write(b []byte) (int, error) {
	_ = s.SetWriteDeadline(time.Now().Add(callLimit))
	return s.Conn.Write(b)
}

// dropping gives signals to one channel and drops those for which there is no room: they are hints, and a full channel
// holds a hint already. The library's own delivery starts a goroutine for each.
type dropping struct {
	mu     sync.Mutex
	to     chan<- *dbus.Signal
	closed bool
}

func (d *dropping) AddSignal(ch chan<- *dbus.Signal) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.to = ch
	if d.closed {
		close(ch)
	}
}

func (d *dropping) RemoveSignal(chan<- *dbus.Signal) {}

func (d *dropping) DeliverSignal(_, _ string, s *dbus.Signal) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.to == nil || d.closed {
		return
	}
	select {
	case d.to <- s:
	default:
	}
}

// Terminate tells the listener that the connection is gone.
func (d *dropping) Terminate() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.to != nil && !d.closed {
		close(d.to)
	}
	d.closed = true
}

// Call calls a method on the system bus and returns what it answers. It waits at most two seconds.
func (l *Logind) Call(ctx context.Context, dest string, path dbus.ObjectPath, method string, args ...any) ([]any, error) {
	l.mu.Lock()
	conn := l.conn
	l.mu.Unlock()
	if conn == nil {
		return nil, fmt.Errorf("call %s: %w", method, ErrDown)
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	call := conn.Object(dest, path).CallWithContext(ctx, method, 0, args...)
	if call.Err != nil {
		return nil, fmt.Errorf("call %s: %w", method, call.Err)
	}
	return call.Body, nil
}
