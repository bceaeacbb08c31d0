package collector

import (
	"context"
	"sync"
	"time"

	"stepaway/audit"
)

// lookAgain is how long the store is not asked again where a device is that shows the same as before. It bounds how late a
// copy is noticed that talks to another collector.
const lookAgain = time.Minute

// places remembers what the store was told of devices.
type places struct {
	mu   sync.Mutex
	last map[audit.Label]told
}

type told struct {
	certificate, epoch, boot string
	at                       time.Time
}

// fresh reports whether the store was told the same just now, and remembers that it is.
func (p *places) fresh(at Sighting) bool {
	t := told{at.Certificate, at.Epoch, at.Boot, at.At}
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.last[at.Device]
	since := at.At.Sub(was.at)
	was.at = at.At
	if was == t && since >= 0 && since < lookAgain && !at.Fork {
		return true
	}
	p.last[at.Device] = t
	return false
}

// sighted notes where a device is. A device that is in two places is told of: in the log, in the collector's own chain,
// and by what `devices` and `report` read. A store that fails here does not keep the batch from being acknowledged.
func (s *Server) sighted(ctx context.Context, by caller, at Sighting) {
	at.Device, at.Certificate, at.Peer, at.At = by.device, by.cert.ID, by.peer, by.at
	if s.places.fresh(at) {
		return
	}
	back, err := s.store.See(ctx, at)
	if err != nil {
		s.log.Error("not noted where a device is", "device", at.Device, "err", err)
	}
	for _, b := range back {
		s.log.Error("one identity in two places: its key was copied, or an old image was put back", "device", at.Device,
			"what", b.What, "value", b.Value, "after", b.After, "peer", at.Peer, "peer_before", b.Peer)
		f := audit.Facts{Key: at.Device, Code: b.What, Ref: audit.MakeLabel(b.Value), Old: audit.MakeLabel(b.After),
			Source: audit.MakeLabel(at.Peer), New: audit.MakeLabel(b.Peer)}
		if err := s.store.Record(ctx, audit.IdentityShared, f, at.At); err != nil {
			s.log.Error("own event not stored", "err", err)
		}
	}
}
