package lock

import (
	"context"
	"errors"
	"time"
)

var errHangs = errors.New("the last one still hangs")

// within does something that may hang in the kernel, and leaves it alone when the time is over. While one of a kind hangs no
// other is begun, so that they do not pile up; otherwise they wait for one another.
func (l *Ladder) within(ctx context.Context, limit time.Duration, kind string, do func()) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan struct{})
	for before := l.begin(kind, done); before != nil; before = l.begin(kind, done) {
		select {
		case <-before:
		case <-ctx.Done():
			return errHangs
		}
	}
	go func() {
		defer l.end(kind)
		do()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begin makes done the one of its kind, or returns the one that there is.
func (l *Ladder) begin(kind string, done chan struct{}) (before chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if before = l.doing[kind]; before == nil {
		l.doing[kind] = done
	}
	return before
}

func (l *Ladder) end(kind string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.doing[kind])
	delete(l.doing, kind)
}
