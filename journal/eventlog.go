package journal

import (
	"context"
	"log/slog"
	"strings"
)

// EventLog takes one entry of the event log of Windows: a level, a number of Numbers, and its text.
type EventLog interface {
	Report(level slog.Level, number uint32, text string) error
}

// Numbers are the messages that the event log tells apart, for who looks for them there. A number never changes its
// meaning; what has none is Plain. They end at 1000, where those of the system's own file of messages do.
var Numbers = map[string]uint32{
	"enforcing":    100,
	"stopping":     101,
	"cannot start": 102,

	"policy in force":  110,
	"policy not taken": 111,
	"policy not taken; correct it and save, the agent reads it again": 112,

	"session not secured; trying again":                                 120,
	"sessions unreadable; those known stay enforced":                    121,
	"no probe; the session counts as idle since its last input":         122,
	"this agent cannot promise everything":                              123,
	"the installation is not as it was approved":                        130,
	"no link: sessions are enforced without tray, and events wait here": 140,
	"link open": 141,

	"spool open":                                             200,
	"a new epoch was begun":                                  201,
	"spool failed, opening it again":                         202,
	"events not delivered; trying on":                        210,
	"no collector: events are kept on this machine":          211,
	"events are kept and not sent; enroll this device again": 212,
	"certificate not renewed":                                213,
	"certificate renewed":                                    214,
}

// Plain are the numbers of messages that have none of their own.
const (
	PlainInfo    = 1
	PlainWarning = 2
	PlainError   = 3
)

// maxEvent bounds the text of one entry. Windows takes 31,839 characters.
const maxEvent = 16 << 10

// EventHandler makes entries of the event log of log records: the message with its attributes as one text.
type EventHandler struct {
	Log  EventLog
	with []slog.Attr
}

// Enabled tells that everything but debugging is logged.
func (h EventHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

// WithAttrs makes a handler that adds attributes to every record.
func (h EventHandler) WithAttrs(as []slog.Attr) slog.Handler {
	h.with = append(h.with[:len(h.with):len(h.with)], as...)
	return h
}

// WithGroup changes nothing: an entry is flat.
func (h EventHandler) WithGroup(string) slog.Handler { return h }

// Handle writes one record.
func (h EventHandler) Handle(_ context.Context, r slog.Record) error {
	var line strings.Builder
	line.WriteString(r.Message)
	add := func(a slog.Attr) bool {
		line.WriteString(" " + a.Key + "=" + quoted(a.Value.Resolve().String()))
		return true
	}
	for _, a := range h.with {
		add(a)
	}
	r.Attrs(add)
	text := strings.ToValidUTF8(strings.ReplaceAll(line.String(), "\x00", " "), "?")
	return h.Log.Report(r.Level, number(r), text[:min(len(text), maxEvent)])
}

func number(r slog.Record) uint32 {
	if n, known := Numbers[r.Message]; known {
		return n
	}
	switch {
	case r.Level >= slog.LevelError:
		return PlainError
	case r.Level >= slog.LevelWarn:
		return PlainWarning
	}
	return PlainInfo
}
