package journal

import (
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sys/windows/svc/eventlog"
)

// waiting is how many entries wait at most for the event log; what there is no room for is dropped.
const waiting = 256

// flushWithin is how long an end waits for what is still to be written.
const flushWithin = 2 * time.Second

// Queue writes entries to the event log in order. Whoever logs never waits for it.
type Queue chan entry

type entry struct {
	level  slog.Level
	number uint32
	text   string
	done   chan struct{} // no entry: closed when all before it is written
}

// Open opens the event log for a source that the installation registered.
func Open(source string) (Queue, error) {
	l, err := eventlog.Open(source)
	if err != nil {
		return nil, fmt.Errorf("open the event log for %s: %w", source, err)
	}
	q := make(Queue, waiting)
	go func() { // ends with the program
		for e := range q {
			if e.done != nil {
				close(e.done)
				continue
			}
			_ = write(l, e) // there is nowhere else to say that it failed
		}
	}()
	return q, nil
}

// Report implements EventLog.
func (q Queue) Report(level slog.Level, number uint32, text string) error {
	select {
	case q <- entry{level: level, number: number, text: text}:
	default:
	}
	return nil
}

// Flush waits a moment for what was reported last, before the program ends.
func (q Queue) Flush() {
	late := time.After(flushWithin)
	done := make(chan struct{})
	select {
	case q <- entry{done: done}:
	case <-late:
		return
	}
	select {
	case <-done:
	case <-late:
	}
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
