package journal

import (
	"fmt"
	"log/slog"

	"golang.org/x/sys/windows/svc/eventlog"
)

// waiting is how many entries wait at most for the event log; what there is no room for is dropped.
const waiting = 256

// Open opens the event log for a source that the installation registered. Whoever logs never waits for it.
func Open(source string) (EventLog, error) {
	l, err := eventlog.Open(source)
	if err != nil {
		return nil, fmt.Errorf("open the event log for %s: %w", source, err)
	}
	q := queue(make(chan entry, waiting))
	go func() { // ends with the program
		for e := range q {
			_ = write(l, e) // there is nowhere else to say that it failed
		}
	}()
	return q, nil
}

type entry struct {
	level  slog.Level
	number uint32
	text   string
}

type queue chan entry

// Report implements EventLog.
func (q queue) Report(level slog.Level, number uint32, text string) error {
	select {
	case q <- entry{level, number, text}:
	default:
	}
	return nil
}

func write(l *eventlog.Log, e entry) error {
	switch {
	case e.level >= slog.LevelError:
		return l.Error(e.number, e.text)
	case e.level >= slog.LevelWarn:
		return l.Warning(e.number, e.text)
	}
	return l.Info(e.number, e.text)
}
