//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// A week of a workstation, and how it is sent.
const (
	week      = 420
	weekBatch = 140
)

// storm: the collector was away for a week, and every device finds it again within two seconds. The courier's own loop
// decides when each comes again.
func (r *run) storm(ctx context.Context, store string) error {
	f, err := r.fleet(ctx, store)
	if err != nil {
		return err
	}
	v, err := f.site.serve(f.site.data, "")
	if err != nil {
		return err
	}
	defer f.site.stop()
	peers, err := f.peers(v.url)
	if err != nil {
		return err
	}
	return r.stormAt(ctx, f, v, peers, "storm", week, 2*time.Second)
}

// stormAt has every member's peer, which it closes, deliver so many events, and begin within some time.
func (r *run) stormAt(ctx context.Context, f *fleet, v *serving, peers []*peer, name string, each int, within time.Duration) error {
	count := peers[0].meter
	watch := v.watch(f.site)
	began := time.Now()
	ends := make([]time.Duration, len(f.members))
	err := all(f.members, func(i int, m *member) error {
		b := m.say(each, weekBatch)
		pause(ctx, rand.N(within))
		defer func() { ends[i] = time.Since(began) }()
		return m.deliver(ctx, b, peers[i], time.Second)
	})
	line := watch.end(count.figures(name, f.site.kind, len(f.members), time.Since(began)))
	if err != nil {
		return err
	}
	slices.Sort(ends)
	line.Note = fmt.Sprintf("half of the devices done after %.0f s, 99 %% after %.0f s", ends[len(ends)/2].Seconds(), ends[len(ends)*99/100].Seconds())
	if err := f.site.stop(); err != nil {
		return err
	}
	return r.settled(f, line)
}

// settled compares both sides and reports a line.
func (r *run) settled(f *fleet, line figures) (err error) {
	if line.Early > 0 {
		return fmt.Errorf("%d devices came again sooner than they were asked to", line.Early)
	}
	if line.Verified, err = f.settle(); err != nil {
		return err
	}
	r.say.line(line)
	return nil
}

// figures of what was counted in some time.
func (m *meter) figures(scenario, store string, devices int, took time.Duration) figures {
	f := figures{Scenario: scenario, Store: store, Devices: devices, Seconds: took.Seconds()}
	m.fill(&f)
	return f
}

// all plays every member at the same time and answers the first errors.
func all(ms []*member, f func(int, *member) error) error {
	type one struct {
		i int
		m *member
	}
	list := make([]one, len(ms))
	for i, m := range ms {
		list[i] = one{i, m}
	}
	return atOnce(len(list), list, func(o one) error { return f(o.i, o.m) })
}
