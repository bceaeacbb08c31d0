package collector

import (
	"context"
	"fmt"
	"time"

	"stepaway/audit"
)

// Own is the device under which the collector's own events stand, in one chain for all collectors on a store. No device
// can have this name.
const Own audit.Label = "collector/own"

const ownEpoch = "0000000000000001"

// Record adds an event of the collector's own to the end of its chain.
func (s *Store) Record(ctx context.Context, typ audit.Type, f audit.Facts, now time.Time) error {
	severity, _ := audit.SeverityOf(typ)
	e := audit.Event{V: audit.Version, Type: typ, Device: Own, Epoch: ownEpoch, Wall: now.UTC(), Agent: "stepaway-collector",
		Severity: severity, Outcome: audit.Success, Facts: &f}
	t := &taking{Arrival: Arrival{Device: Own, Epoch: ownEpoch, Received: now.UTC()}}
	t.fill = func(held Held) ([]Event, error) {
		e.Seq, e.Prev = held.Last+1, held.Hash
		body, hash, err := audit.Encode(e)
		return []Event{{Record: audit.Record{Seq: e.Seq, Hash: hash, Body: body}, Prev: e.Prev, Type: e.Type, Wall: e.Wall}}, err
	}
	if err := s.engine.take(ctx, t); err != nil {
		return fmt.Errorf("record %s: %w", typ, err)
	}
	return nil
}
