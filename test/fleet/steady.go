//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// steadyLoad is how many workstations the devices of the scenario steady stand for: they live that much faster.
const steadyLoad = 60_000

// What a workstation does in a day, as the courier has it.
const (
	eventEvery = 24 * time.Minute // on average: 60 a day
	probeEvery = 5 * time.Minute  // when there is nothing to send
	idleFor    = 90 * time.Second // until a connection is closed
)

// steady is a day like any other, in a hurry.
func (r *run) steady(ctx context.Context, store string) error {
	f, err := r.fleet(ctx, store)
	if err != nil {
		return err
	}
	v, err := f.site.serve(f.site.data, "")
	if err != nil {
		return err
	}
	defer f.site.stop()
	speed := max(1, float64(steadyLoad)/float64(len(f.members)))
	count := &meter{}
	watch := v.watch(f.site)
	began := time.Now()
	until, cancel := context.WithTimeout(ctx, r.span)
	defer cancel()
	probes := &meter{}
	err = all(f.members, func(_ int, m *member) error { return m.live(ctx, until, speed, v.url, count, probes) })
	line := watch.end(count.figures("steady", store, len(f.members), time.Since(began)))
	if err != nil {
		return err
	}
	line.Early += probes.early
	line.Handshakes = probes.handshakes + count.handshakes
	line.Note = fmt.Sprintf("%.0f times as fast as life, the load of %d workstations; %.0f handshakes/s", speed, int(speed*float64(len(f.members))),
		float64(line.Handshakes)/line.Seconds)
	if err := f.site.stop(); err != nil {
		return err
	}
	return r.settled(f, line)
}

// live is one workstation: an event now and then, a probe when there was none, a connection that is closed after a
// while. What was begun when until ends is finished.
func (m *member) live(ctx, until context.Context, speed float64, url string, count, probes *meter) error {
	b := m.say(0, weekBatch)
	p, err := m.peer(count, url)
	if err != nil {
		return err
	}
	defer p.close()
	scaled := func(d time.Duration) time.Duration { return time.Duration(float64(d) / speed) }
	event := time.Now().Add(scaled(time.Duration(rand.ExpFloat64() * float64(eventEvery))))
	last, open := time.Now().Add(-scaled(rand.N(probeEvery))), false // the last exchange was some time ago
	for {
		probe, idle := last.Add(scaled(probeEvery)), last.Add(scaled(idleFor))
		next := min(time.Until(event), time.Until(probe))
		if open {
			next = min(next, time.Until(idle))
		}
		if pause(until, next); until.Err() != nil {
			return m.sendAll(ctx, b, p)
		}
		now := time.Now()
		switch {
		case !now.Before(event):
			b.grow(1)
			event = now.Add(scaled(time.Duration(rand.ExpFloat64() * float64(eventEvery))))
			p.meter = count
			p.opened(open)
			err = m.sendAll(ctx, b, p)
		case open && !now.Before(idle):
			p.close()
			open = false
			continue
		default:
			p.meter = probes
			p.opened(open)
			if e := p.Probe(ctx); e != nil {
				pause(until, time.Until(p.since))
			}
		}
		if err != nil {
			return err
		}
		last, open = time.Now(), true
	}
}

// opened counts an exchange that begins with a handshake.
func (p *peer) opened(already bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !already {
		p.handshakes++
	}
}
