//go:build linux

package main

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"stepaway/audit"
	"stepaway/courier"
	"stepaway/uplink"
)

// meter counts what devices see.
type meter struct {
	mu     sync.Mutex
	took   []time.Duration // of batches that were acknowledged
	events int64
	busy   int            // answers that said to come again
	early  int            // devices that came again sooner than they were asked to
	failed map[string]int // exchanges without a good answer, by code; "busy" is not among them

	handshakes int
}

func (m *meter) note(events int, took time.Duration, err error) (again time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		if events > 0 {
			m.took, m.events = append(m.took, took), m.events+int64(events)
		}
		return 0
	}
	var a *courier.AnswerError
	code := "other"
	if errors.As(err, &a) {
		code = a.Code
	}
	if code == "busy" {
		m.busy++
		return a.RetryAfter
	}
	if m.failed == nil {
		m.failed = map[string]int{}
	}
	m.failed[code]++
	return 0
}

// told reports whether anyone was told to come again.
func (m *meter) told() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.busy > 0
}

// fill writes what was counted into f.
func (m *meter) fill(f *figures) {
	m.mu.Lock()
	defer m.mu.Unlock()
	slices.Sort(m.took)
	f.Events, f.Batches, f.Busy, f.Early, f.Failed = m.events, len(m.took), m.busy, m.early, m.failed
	f.P50, f.P99, f.Max = quantile(m.took, 0.5), quantile(m.took, 0.99), quantile(m.took, 1)
}

// quantile in milliseconds.
func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[min(int(q*float64(len(sorted))), len(sorted)-1)].Microseconds()) / 1000
}

// peer is a courier's client, counted. Of several collectors one is asked until it does not answer, as it is behind a
// balancer of load.
type peer struct {
	*meter
	clients []*courier.Client
	at      int
	since   time.Time // when it may come again
}

func (m *member) peer(count *meter, urls ...string) (*peer, error) {
	p := &peer{meter: count, at: rand.IntN(len(urls))}
	for _, url := range urls {
		c, err := courier.NewClient(m.id, courier.ClientOptions{URL: url})
		if err != nil {
			return nil, err
		}
		p.clients = append(p.clients, c)
	}
	return p, nil
}

// peers of all members, that count together.
func (f *fleet) peers(url string) ([]*peer, error) {
	count := &meter{}
	ps := make([]*peer, len(f.members))
	for i, m := range f.members {
		var err error
		if ps[i], err = m.peer(count, url); err != nil {
			return nil, err
		}
	}
	return ps, nil
}

func (p *peer) close() {
	for _, c := range p.clients {
		c.Close()
	}
}

// exchange counts one exchange, of one goroutine at a time.
func (p *peer) exchange(ctx context.Context, events int, do func(*courier.Client) error) error {
	began := time.Now()
	if began.Before(p.since) {
		p.mu.Lock()
		p.early++
		p.mu.Unlock()
	}
	err := do(p.clients[p.at])
	if ctx.Err() != nil {
		return err
	}
	p.since = time.Now().Add(p.note(events, time.Since(began), err))
	var a *courier.AnswerError
	if errors.As(err, &a) && (a.Code == "unreachable" || a.Code == "slow") {
		p.at = (p.at + 1) % len(p.clients)
	}
	return err
}

// Send hands over a batch.
func (p *peer) Send(ctx context.Context, b uplink.Batch, sent []audit.Record) (ack uplink.Ack, err error) {
	err = p.exchange(ctx, len(sent), func(c *courier.Client) error { ack, err = c.Send(ctx, b, sent); return err })
	return ack, err
}

// Probe asks whether the collector answers.
func (p *peer) Probe(ctx context.Context) error {
	return p.exchange(ctx, 0, func(c *courier.Client) error { return c.Probe(ctx) })
}

// Renew renews the certificate when that is due.
func (p *peer) Renew(ctx context.Context) (bool, error) { return p.clients[p.at].Renew(ctx) }

// deliver has the courier's own loop deliver a backlog, and comes back when all of it is delivered.
func (m *member) deliver(ctx context.Context, b *backlog, p *peer, retryMin time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer p.close()
	c := courier.New(b, courier.Options{Device: m.name, Version: "1.0.0", Stamp: b.stamp, Peer: p, RetryMin: retryMin,
		Log: slog.New(slog.DiscardHandler)})
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	select {
	case <-b.empty:
		cancel()
		return <-ended
	case err := <-ended:
		return err
	}
}

// send sends one batch by itself, for where the device's own time counts and not the courier's loop.
func (m *member) send(ctx context.Context, b *backlog, p *peer) (sent bool, err error) {
	batch, err := b.next()
	if err != nil || len(batch.Events) == 0 {
		return false, err
	}
	rs := b.ready[:len(batch.Events)]
	ack, err := p.Send(ctx, batch, rs)
	if err != nil {
		return false, err
	}
	if ack.Last < rs[0].Seq {
		return false, errors.New("nothing of what was sent was acknowledged")
	}
	return true, b.Ack(ack.Last, ack.Hash, ack.Sig)
}

// sendAll sends until nothing waits, and after a failure comes again as a courier does.
func (m *member) sendAll(ctx context.Context, b *backlog, p *peer) error {
	for ctx.Err() == nil {
		sent, err := m.send(ctx, b, p)
		switch {
		case err == nil && !sent:
			return nil
		case err != nil:
			pause(ctx, max(time.Until(p.since), rand.N(2*time.Second)))
		}
	}
	return ctx.Err()
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
