//go:build storeless

package collector

import (
	"context"
	"time"
)

// OpenNothing is a store that keeps nothing, so that what a store costs can be measured: everything else is done as
// ever, signatures included. No program that is shipped has it; test/fleet builds one with the tag storeless.
func OpenNothing() *Store { return &Store{nothing{}} }

type nothing struct{}

// take believes that whatever comes continues what is held.
func (nothing) take(_ context.Context, t *taking) error {
	if err := t.filled(); err != nil {
		return err
	}
	first := t.Events[0]
	t.known, t.first, t.held = true, 1, Held{Last: first.Seq - 1, Hash: first.Prev}
	t.decide(nil)
	return nil
}

func (nothing) write(context.Context, func(*tx) error) error             { return nil }
func (nothing) ask(context.Context, func(*tx) error) error               { return nil }
func (nothing) read(context.Context, func(*tx) error) error              { return nil }
func (nothing) old(*tx, time.Time, func(Run) error) error                { return nil }
func (nothing) remove(context.Context, time.Time, sealer) (int64, error) { return 0, nil }
func (nothing) close() error                                             { return nil }
