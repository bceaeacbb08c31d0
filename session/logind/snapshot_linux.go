package logind

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/godbus/dbus/v5"

	"stepaway/session"
)

// listed is one row of ListSessions: id, uid, user, seat, path.
type listed struct {
	ID   string
	UID  uint32
	User string
	Seat string
	Path dbus.ObjectPath
}

// maxSessions bounds a snapshot; logind's own limit is higher by default. Where there are more, those at a seat come first,
// so that nobody's many logons over the network hide a desktop.
const maxSessions = 1024

func seatsFirst(a, b listed) int { return cmp.Compare(seatless(a), seatless(b)) }

func seatless(row listed) int {
	if row.Seat == "" {
		return 1
	}
	return 0
}

// Snapshot returns every user session: active or not, on every seat or none. Sessions of greeters, lock screens and
// background services are left out. Groups may be filled in by a later snapshot, which Changed announces: their lookup
// can wait for a directory server, and a snapshot does not.
func (l *Logind) Snapshot(ctx context.Context) ([]session.Session, error) {
	body, err := l.Call(ctx, busName, busPath, managed+"ListSessions")
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	var rows []listed
	if err := dbus.Store(body, &rows); err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	slices.SortStableFunc(rows, seatsFirst)
	var list []session.Session
	for _, row := range rows[:min(len(rows), maxSessions)] {
		p, err := l.properties(ctx, row.Path)
		if isUnknown(err) { // ended meanwhile
			continue
		}
		if err != nil && ctx.Err() != nil {
			return nil, fmt.Errorf("list sessions: %w", err)
		}
		if s, ok := l.facts.session(row, p); ok {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b session.Session) int { return int(a.Since - b.Since) })
	l.facts.forget(list)
	return list, nil
}

// properties reads all properties of a session at once; none if logind does not answer.
func (l *Logind) properties(ctx context.Context, path dbus.ObjectPath) (properties, error) {
	body, err := l.Call(ctx, busName, path, "org.freedesktop.DBus.Properties.GetAll", busName+".Session")
	if err != nil {
		return nil, err
	}
	var p properties
	return p, dbus.Store(body, &p)
}

func isUnknown(err error) bool {
	var e dbus.Error
	return errors.As(err, &e) && (e.Name == "org.freedesktop.DBus.Error.UnknownObject" ||
		e.Name == busName+".NoSuchSession")
}

// properties are a session's properties by name. A missing or mistyped one reads as the zero value.
type properties map[string]dbus.Variant

func (p properties) text(name string) string {
	s, _ := p[name].Value().(string)
	return s
}

func (p properties) number(name string) uint32 {
	n, _ := p[name].Value().(uint32)
	return n
}

func (p properties) flag(name string) bool {
	b, _ := p[name].Value().(bool)
	return b
}
