// Package courier carries audit events from the enforcer to the spool and from the spool to the collector.
//
// Failure rules: the enforcer is told that an event is stored only when the spool has it on disk. An event
// leaves the spool only on the collector's signed word for exactly that event. Whatever fails is tried again
// for ever, less and less often; nothing is dropped here. A spool that answers with an error is tried again
// while the enforcer waits; a damaged one ends Run. The collector's bytes are hostile until its signature
// is checked, and then it can still do no more than keep events waiting.
package courier

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"stepaway/audit"
	"stepaway/link"
	"stepaway/uplink"
)

// Queue is the spool.
type Queue interface {
	Append([]audit.Event) (first, last uint64, err error)
	Next(after uint64, max, maxBytes int) ([]audit.Record, error)
	Ack(last uint64, hash, proof string) error
	Fork(code audit.Label) error
	Position() Position
}

// Position is how far spool and collector are.
type Position struct {
	Epoch     string
	Head      uint64
	Acked     uint64
	AckedHash string
	Proof     string
	Bytes     int64
}

// Peer is the collector.
type Peer interface {
	// Send hands over events and answers the signed ack, checked against them.
	Send(ctx context.Context, b uplink.Batch, sent []audit.Record) (uplink.Ack, error)
	// Probe asks whether the collector answers.
	Probe(ctx context.Context) error
	// Renew gets a new certificate when one is due; renewed reports whether it did.
	Renew(ctx context.Context) (renewed bool, err error)
}

// Options of a courier. Zero durations take the defaults.
type Options struct {
	Device  audit.Label
	Version string
	Stamp   func(audit.Type) audit.Event            // makes an event of the courier's own
	Dial    func(context.Context) (net.Conn, error) // to the enforcer; nil: none
	Peer    Peer                                    // nil: no collector
	Fatal   func(error) bool                        // whether an error of the spool ends Run
	Changed func(link.Courier)                      // told when the status changes; may be nil
	Log     *slog.Logger

	RetryMin, RetryMax time.Duration // between tries to send: 1 s to 5 min
	DownAfter          time.Duration // failing this long is collector.down: 30 s
	StatusEvery        time.Duration // between two words to the enforcer when nothing changed: 5 min
	RenewRetry         time.Duration // between tries to renew the certificate, half of it to all of it: 1 h
	RefusedEvery       time.Duration // between tries when nothing but an administrator can help, half of it to all of it: 30 min
	ProbeEvery         time.Duration // between two looks at a collector when there is nothing to send: 5 min
}

// Courier is the loop. Make one with New.
type Courier struct {
	o    Options
	q    Queue
	wake chan struct{} // something to send
	told chan struct{} // status changed
	anew chan struct{} // the clock was set: what failed may be well now

	mu        sync.Mutex
	run       string
	n         uint64
	state     string // collector: up, down, none or empty while unknown
	code      string
	failed    time.Time // since when sending has failed
	spoolCode string    // what is wrong with the spool

	lastFork time.Time // of the delivering goroutine
}

// New makes a courier for a spool.
func New(q Queue, o Options) *Courier {
	o.RetryMin = orElse(o.RetryMin, time.Second)
	o.RetryMax = orElse(o.RetryMax, 5*time.Minute)
	o.DownAfter = orElse(o.DownAfter, 30*time.Second)
	o.StatusEvery = orElse(o.StatusEvery, 5*time.Minute)
	o.ProbeEvery = orElse(o.ProbeEvery, 5*time.Minute)
	o.RenewRetry = orElse(o.RenewRetry, time.Hour)
	o.RefusedEvery = orElse(o.RefusedEvery, 30*time.Minute)
	if o.Fatal == nil {
		o.Fatal = func(error) bool { return false }
	}
	var id [4]byte
	rand.Read(id[:])
	c := &Courier{o: o, q: q, wake: make(chan struct{}, 1), told: make(chan struct{}, 1),
		anew: make(chan struct{}, 1), run: hex.EncodeToString(id[:])}
	if o.Peer == nil {
		c.state = "none"
	}
	return c
}

func orElse(d, other time.Duration) time.Duration {
	if d == 0 {
		return other
	}
	return d
}

// Run works until ctx is done, or the spool fails with an error that Options.Fatal says to end for.
func (c *Courier) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	if c.o.Dial != nil {
		wg.Go(func() { c.listen(ctx, cancel) })
	}
	if c.o.Peer != nil {
		wg.Go(func() { c.deliver(ctx, cancel) })
	}
	<-ctx.Done()
	wg.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// Status is what the enforcer is told.
func (c *Courier) Status() link.Courier {
	p := c.q.Position()
	c.mu.Lock()
	defer c.mu.Unlock()
	state := c.state
	if state == "" {
		state = "down"
	}
	code := c.spoolCode
	if code == "" {
		code = c.code
	}
	return link.Courier{Epoch: p.Epoch, Head: p.Head, Acked: p.Acked, Bytes: p.Bytes, Collector: state, Code: code}
}

// record writes an event of the courier's own. One that cannot be written is logged and lost: its number
// leaves a hole, which the spool records.
func (c *Courier) record(t audit.Type, f *audit.Facts) {
	e := c.o.Stamp(t)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	e.Run, e.N, e.Facts = c.run, c.n, f
	if _, _, err := c.q.Append([]audit.Event{e}); err != nil {
		c.o.Log.Error("own event not stored", "type", t, "err", err)
		return
	}
	poke(c.wake)
}

// note keeps the state of the collector and tells of a change.
func (c *Courier) note(state, code string) {
	c.mu.Lock()
	changed := c.state != state || c.code != code
	c.state, c.code = state, code
	c.mu.Unlock()
	if changed {
		c.changed()
	}
}

func (c *Courier) changed() {
	poke(c.told)
	if c.o.Changed != nil {
		c.o.Changed(c.Status())
	}
}

// poke leaves a sign in a channel of capacity one.
func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// pause waits, and reports whether ctx still goes on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
