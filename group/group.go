// Package group lets concurrent callers share one commit.
//
// Failure rules: nobody waits for company: whoever waits already when a commit begins is taken along. The error of a
// commit is the error of everyone in it. A caller may stop waiting, and then does not know what became of his part. What
// hangs holds up at most the parts of the commits under way; every other caller leaves when his context ends.
package group

import (
	"context"
	"errors"
	"runtime"
	"sync"
)

// ErrClosed is the error of a caller that comes after Close.
var ErrClosed = errors.New("closed")

// Writers are a few goroutines that commit what callers bring.
type Writers[T any] struct {
	most   int
	commit func([]T) error
	parts  chan *part[T]
	quit   chan struct{}
	ended  sync.WaitGroup
	once   sync.Once
}

type part[T any] struct {
	value T
	err   error
	done  chan struct{}
}

// New starts n goroutines, which call commit with 1 to most values each. What commit has to say of a value alone it
// leaves in the value.
func New[T any](n, most int, commit func([]T) error) *Writers[T] {
	w := &Writers[T]{most: most, commit: commit, parts: make(chan *part[T]), quit: make(chan struct{})}
	for range n {
		w.ended.Go(w.run)
	}
	return w
}

// Do waits until v is committed. When ctx ends first, v may be committed still, and must not be touched again.
func (w *Writers[T]) Do(ctx context.Context, v T) error {
	p := &part[T]{value: v, done: make(chan struct{})}
	select {
	case w.parts <- p:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.quit:
		return ErrClosed
	}
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close waits for the commits under way and ends the goroutines.
func (w *Writers[T]) Close() {
	w.once.Do(func() { close(w.quit) })
	w.ended.Wait()
}

func (w *Writers[T]) run() {
	for {
		select {
		case p := <-w.parts:
			w.share(w.gather(p))
		case <-w.quit:
			return
		}
	}
}

func (w *Writers[T]) gather(p *part[T]) []*part[T] {
	ps := []*part[T]{p}
	runtime.Gosched()
	for len(ps) < w.most {
		select {
		case p := <-w.parts:
			ps = append(ps, p)
		default:
			return ps
		}
	}
	return ps
}

func (w *Writers[T]) share(ps []*part[T]) {
	values := make([]T, len(ps))
	for i, p := range ps {
		values[i] = p.value
	}
	err := w.commit(values)
	for _, p := range ps {
		p.err = err
		close(p.done)
	}
}
