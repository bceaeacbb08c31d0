package idle

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"stepaway/clock"
)

// The idle monitor of GNOME's compositor. Its idle time counts from the last input and knows no inhibitor.
const (
	monitorName = "org.gnome.Mutter.IdleMonitor"
	monitorPath = "/org/gnome/Mutter/IdleMonitor/Core"
	dbusName    = "org.freedesktop.DBus"
)

var errMonitorGone = errors.New("idle: the idle monitor has gone from the session bus")

// monitor follows the idle time, as a counter of X11 is followed: once a second while there is input, and else it waits
// to be told of some.
type monitor struct {
	f      *follower
	c      net.Conn
	r      *bufio.Reader
	serial uint32
	armed  bool          // the compositor will tell of the next input
	asleep time.Duration // how long the machine had slept at the last look
}

const busTimeout = 2 * time.Second

// findMonitor returns a connection to the session's bus if GNOME's idle monitor is on it, and nil if it is not.
func (f *follower) findMonitor(ctx context.Context, uid uint32) (*monitor, error) {
	path := f.w.opt.sessionBus(uid)
	if _, err := os.Lstat(path); path == "" || errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	c, err := dialAs(ctx, uid, path)
	if err != nil {
		return nil, err
	}
	m := &monitor{f: f, c: c, r: bufio.NewReaderSize(c, 4096), asleep: clock.Asleep()}
	if err = m.greet(ctx, uid); err == nil {
		_, err = m.idle(ctx)
	}
	if err == nil {
		return m, nil
	}
	c.Close()
	if errors.Is(err, errNoMonitor) {
		return nil, nil
	}
	return nil, err
}

func (m *monitor) close() { m.c.Close() }

// greet lets us in, and asks to hear of input and of the monitor's end.
func (m *monitor) greet(ctx context.Context, uid uint32) error {
	defer m.until(ctx, time.Now().Add(busTimeout))()
	name := hex.EncodeToString([]byte(strconv.FormatUint(uint64(uid), 10)))
	if _, err := m.c.Write([]byte("\x00AUTH EXTERNAL " + name + "\r\n")); err != nil {
		return fmt.Errorf("idle: greeting the session bus: %w", err)
	}
	line, err := m.r.ReadSlice('\n') // at most the buffer
	if err != nil || !strings.HasPrefix(string(line), "OK ") {
		return fmt.Errorf("idle: the session bus does not let us in: %.40q, %v", line, err)
	}
	if _, err := m.c.Write([]byte("BEGIN\r\n")); err != nil {
		return fmt.Errorf("idle: greeting the session bus: %w", err)
	}
	if _, err := m.ask(ctx, dbusName, "/org/freedesktop/DBus", "Hello", ""); err != nil {
		return err
	}
	for _, rule := range []string{
		"type='signal',interface='" + monitorName + "',member='WatchFired',path='" + monitorPath + "'",
		"type='signal',sender='" + dbusName + "',member='NameOwnerChanged',arg0='" + monitorName + "'",
	} {
		if _, err := m.ask(ctx, dbusName, "/org/freedesktop/DBus", "AddMatch", rule); err != nil {
			return err
		}
	}
	return nil
}

// until makes reads and writes end at a time, and with ctx.
func (m *monitor) until(ctx context.Context, end time.Time) (stop func()) {
	m.c.SetDeadline(end)
	set := make(chan struct{})
	after := context.AfterFunc(ctx, func() {
		m.c.SetDeadline(time.Unix(1, 0))
		close(set)
	})
	return func() {
		if !after() {
			<-set
		}
	}
}

// errNoMonitor is the bus's answer where nobody has the monitor's name.
var errNoMonitor = errors.New("idle: no idle monitor on the session bus")

// maxBusTalk bounds the messages heard while an answer is awaited.
const maxBusTalk = 1000

// ask calls a method of the bus or the monitor, and waits for the answer.
func (m *monitor) ask(ctx context.Context, to, path, member, argument string) (busMessage, error) {
	defer m.until(ctx, time.Now().Add(busTimeout))()
	m.serial++
	if _, err := m.c.Write(encodeCall(m.serial, to, path, to, member, argument)); err != nil {
		return busMessage{}, fmt.Errorf("idle: calling %s: %w", member, err)
	}
	for range maxBusTalk {
		got, err := m.take()
		switch {
		case err != nil:
			return got, fmt.Errorf("idle: waiting for the answer to %s: %w", member, err)
		case got.answers != m.serial:
		case got.kind == busReply:
			return got, nil
		case got.kind == busError && to == monitorName:
			return got, errNoMonitor
		case got.kind == busError:
			return got, fmt.Errorf("%w: it refuses %s", errBus, member)
		}
	}
	return busMessage{}, fmt.Errorf("%w: it talks without answering", errBus)
}

// take reads one message.
func (m *monitor) take() (busMessage, error) {
	got, err := readBusMessage(m.r)
	if err == nil && got.kind == busSignal {
		switch got.member {
		case "WatchFired":
			m.armed = false
		case "NameOwnerChanged":
			err = errMonitorGone
		}
	}
	return got, err
}

// idle asks for the time since the last input, on a clock that stands still while the machine sleeps.
func (m *monitor) idle(ctx context.Context) (time.Duration, error) {
	got, err := m.ask(ctx, monitorName, monitorPath, "GetIdletime", "")
	if err != nil {
		return 0, err
	}
	ms, err := got.number64()
	return time.Duration(min(ms, math.MaxInt64/uint64(2*time.Millisecond))) * time.Millisecond, err
}

// begin is there for the counterparts that have to ask before they are told.
func (m *monitor) begin(context.Context) error { return nil }

func (m *monitor) watch(ctx context.Context) error {
	began := clock.Now()
	for {
		idle, err := m.look(ctx, began)
		rest := tremble // for a bus that never stops talking
		switch {
		case err != nil:
		case idle < lull:
			rest = lull
		case !m.armed: // and look again, for what came meanwhile
			m.armed = true
			_, err = m.ask(ctx, monitorName, monitorPath, "AddUserActiveWatch", "")
		default:
			err = m.wait(ctx)
		}
		if err != nil {
			return err
		}
		if !sleep(ctx, rest) {
			return ctx.Err()
		}
	}
}

// look tells of input since the watch began. How long the machine slept since input before that is not known; where it slept
// since the last look, the input is taken to have come before.
func (m *monitor) look(ctx context.Context, began time.Duration) (idle time.Duration, err error) {
	now, asleep := clock.Now(), clock.Asleep()
	if idle, err = m.idle(ctx); err != nil {
		return 0, err
	}
	slept := asleep - m.asleep
	m.asleep = asleep
	if at := now - idle - slept; at > began {
		m.f.tell(sighting{believed: at})
	}
	return idle, nil
}

// wait returns when the compositor tells of input.
func (m *monitor) wait(ctx context.Context) error {
	defer m.until(ctx, time.Time{})()
	for m.armed {
		if _, err := m.take(); err != nil {
			return fmt.Errorf("idle: waiting for the session bus: %w", err)
		}
	}
	return nil
}
