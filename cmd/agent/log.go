package main

import (
	"io"
	"log/slog"

	"stepaway/journal"
)

// linesWaiting is how many lines of the log wait at most for who reads them.
const linesWaiting = 256

// lines writes what it is given beside, in order, and drops what there is no room for: a journal that hangs on its disk
// must not hold up who decides.
type lines struct{ next chan []byte }

// newLog makes a log whose writer never waits. What is written in the last moment before the program ends may be lost.
// Where it would end in the journal it is given to that with its fields.
func newLog(w io.Writer) *slog.Logger {
	sink := journal.Dial(w)
	if sink != nil {
		w = sink
	}
	l := lines{make(chan []byte, linesWaiting)}
	go func() { // ends with the program
		for b := range l.next {
			_, _ = w.Write(b) // there is nowhere else to say that it failed
		}
	}()
	if sink != nil {
		return slog.New(journal.Handler{Sink: l})
	}
	return slog.New(slog.NewTextHandler(l, nil))
}

func (l lines) Write(b []byte) (int, error) {
	select {
	case l.next <- append([]byte(nil), b...):
	default:
	}
	return len(b), nil
}
