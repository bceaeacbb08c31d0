// Package journal writes a program's log to systemd's journal with its fields, by the journal's own protocol.
//
// Failure rules: without the journal, or where standard error does not lead there, nothing is connected and the log stays
// where it is. A line that the journal does not take goes to standard error. A line is cut before it is too long for one
// datagram, and never lost for that.
package journal

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"strings"
)

const maxText = 16 << 10 // of one field

// Sink takes one entry in each Write, which is kept whole.
type Sink interface{ Write([]byte) (int, error) }

// Handler makes entries of log records: the line as MESSAGE, the level as PRIORITY, and each attribute as STEPAWAY_KEY.
type Handler struct {
	Sink Sink
	with []slog.Attr
}

// Enabled tells that everything but debugging is logged.
func (h Handler) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

// WithAttrs makes a handler that adds attributes to every record.
func (h Handler) WithAttrs(as []slog.Attr) slog.Handler {
	h.with = append(h.with[:len(h.with):len(h.with)], as...)
	return h
}

// WithGroup changes nothing: the journal's fields are flat.
func (h Handler) WithGroup(string) slog.Handler { return h }

// Handle writes one record.
func (h Handler) Handle(_ context.Context, r slog.Record) error {
	var fields, line bytes.Buffer
	line.WriteString(r.Message)
	add := func(a slog.Attr) bool {
		value := a.Value.Resolve().String()
		fmt.Fprintf(&line, " %s=%s", a.Key, quoted(value))
		field(&fields, "STEPAWAY_"+name(a.Key), value)
		return true
	}
	for _, a := range h.with {
		add(a)
	}
	r.Attrs(add)
	field(&fields, "PRIORITY", priority(r.Level))
	field(&fields, "MESSAGE", line.String())
	_, err := h.Sink.Write(fields.Bytes())
	return err
}

// priority is syslog's number for a level.
func priority(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "3"
	case l >= slog.LevelWarn:
		return "4"
	}
	return "6"
}

// field adds one field in the form that may hold any byte.
func field(b *bytes.Buffer, name, value string) {
	value = value[:min(len(value), maxText)]
	b.WriteString(name + "\n")
	b.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(value))))
	b.WriteString(value + "\n")
}

// name is a key as a field may be called.
func name(key string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(key)[:min(len(key), 40)])
}

// quoted is a value as it stands in the line.
func quoted(v string) string {
	if v == "" || strings.ContainsAny(v, " \t\n\"=\\") {
		return fmt.Sprintf("%q", v)
	}
	return v
}
