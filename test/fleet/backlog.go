//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"stepaway/audit"
	"stepaway/courier"
	"stepaway/uplink"
)

// backlog is a device's spool as far as a collector can tell: events of one epoch, chained, made when they are sent. It
// is what the courier's own loop sends from, and it makes the same bytes again for the same number.
type backlog struct {
	device audit.Label
	epoch  string
	boot   string
	batch  int // events in one batch at most
	start  time.Time

	mu    sync.Mutex
	pos   courier.Position
	own   map[uint64]audit.Event // of the courier itself, by number
	ready []audit.Record         // what follows what is acknowledged
	empty chan struct{}          // closed when all was delivered and nothing was left to say
	forks int
}

// say begins an epoch of a device with n events that wait.
func (m *member) say(n, batch int) *backlog {
	b := &backlog{device: m.name, epoch: word(), boot: m.boot, batch: batch, start: time.Now().Add(-7 * 24 * time.Hour),
		own: map[uint64]audit.Event{}, empty: make(chan struct{})}
	b.pos = courier.Position{Epoch: b.epoch, Head: uint64(n), AckedHash: audit.Zero}
	m.said[b.epoch] = b
	return b
}

// grow adds n events.
func (b *backlog) grow(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pos.Head += uint64(n)
}

// Append takes an event of the courier's own.
func (b *backlog) Append(es []audit.Event) (first, last uint64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	first = b.pos.Head + 1
	for _, e := range es {
		b.pos.Head++
		b.own[b.pos.Head] = e
	}
	return first, b.pos.Head, nil
}

// Next answers what follows an event, as many as there are in a batch.
func (b *backlog) Next(after uint64, most, _ int) ([]audit.Record, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if after != b.pos.Acked {
		return nil, fmt.Errorf("events after %d asked for, %d are acknowledged", after, b.pos.Acked)
	}
	if b.pos.Acked == b.pos.Head {
		select {
		case <-b.empty:
		default:
			close(b.empty)
		}
		return nil, nil
	}
	prev := b.pos.AckedHash
	if n := len(b.ready); n > 0 {
		prev = b.ready[n-1].Hash
	}
	for n := after + uint64(len(b.ready)) + 1; n <= b.pos.Head && len(b.ready) < min(b.batch, most); n++ {
		body, hash, err := audit.Encode(b.event(n, prev))
		if err != nil {
			return nil, err
		}
		b.ready, prev = append(b.ready, audit.Record{Seq: n, Hash: hash, Body: body}), hash
	}
	return b.ready[:len(b.ready):len(b.ready)], nil
}

// next is the batch that follows, as a courier makes it.
func (b *backlog) next() (uplink.Batch, error) {
	pos := b.Position()
	rs, err := b.Next(pos.Acked, uplink.MaxEvents, uplink.MaxBodies)
	batch := uplink.Batch{Device: b.device, Epoch: b.epoch}
	for _, r := range rs {
		batch.Events = append(batch.Events, json.RawMessage(r.Body))
	}
	if pos.Proof != "" {
		batch.Acked = &uplink.Ack{Device: b.device, Epoch: b.epoch, Last: pos.Acked, Hash: pos.AckedHash, Sig: pos.Proof}
	}
	return batch, err
}

// Ack drops what the collector holds.
func (b *backlog) Ack(last uint64, hash, proof string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if last <= b.pos.Acked {
		return nil
	}
	n := int(last - b.pos.Acked)
	if n > len(b.ready) || b.ready[n-1].Hash != hash {
		return errors.New("acknowledged what was not sent")
	}
	b.ready = append([]audit.Record(nil), b.ready[n:]...)
	b.pos.Acked, b.pos.AckedHash, b.pos.Proof = last, hash, proof
	return nil
}

// Fork is what must never be asked for here.
func (b *backlog) Fork(audit.Label) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forks++
	return errors.New("the collector holds another history")
}

// Position is how far the device and the collector are.
func (b *backlog) Position() courier.Position {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pos
}

// day is what a workstation says on and on, sixty times a day.
var day = []audit.Type{audit.WarningShown, audit.WarningCleared, audit.WarningShown, audit.LockRequested, audit.LockProved, audit.UnlockSeen}

func (b *backlog) event(n uint64, prev string) audit.Event {
	e, own := b.own[n]
	if !own {
		e = b.stamp(day[n%uint64(len(day))])
		e.Wall = b.start.Add(time.Duration(n) * 24 * time.Minute).UTC()
		e.BootMS = int64(n) * (24 * time.Minute).Milliseconds()
		e.Run, e.N = b.epoch[:8], n
		e.Reason = audit.Idle
		e.Session = &audit.Session{ID: "c2", Kind: "x11", UID: 1000 + uint32(n%7), User: "alexandra.meier", Role: "clinical", Seat: "seat0"}
		idle, late, limit := int64(900_000+n%50), int64(n%50), int64(900_000)
		e.Facts = &audit.Facts{IdleMS: &idle, LateMS: &late, LimitMS: &limit, Rung: "logind", Proof: "locker", Attempt: 1, Source: "evdev"}
	}
	e.Device, e.Epoch, e.Seq, e.Prev = b.device, b.epoch, n, prev
	return e
}

// stamp begins an event of this device.
func (b *backlog) stamp(t audit.Type) audit.Event {
	severity, _ := audit.SeverityOf(t)
	return audit.Event{V: audit.Version, Type: t, Boot: b.boot, Wall: time.Now().UTC(), Synced: true, Agent: "1.0.0", Severity: severity,
		Outcome: audit.Success}
}
