//go:build linux

package main

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Of the scenario ratio.
const (
	ratioDevices = 250 // of one round
	ratioAtOnce  = 32  // that send at a time, each on a new connection
)

// ratio plays the same load with each store and with none, in turn, so that what a store costs can be read.
func (r *run) ratio(ctx context.Context) error {
	stores := append([]string{"none"}, strings.Split(r.stores, ",")...)
	f, err := r.fleet(ctx, stores[1])
	if err != nil {
		return err
	}
	rounds := map[string][]figures{}
	for n := range r.rounds {
		for _, store := range stores {
			line, err := r.ratioRound(ctx, f, store, n)
			if err != nil {
				return err
			}
			rounds[store] = append(rounds[store], line)
		}
	}
	var bare figures
	for _, store := range stores {
		all := rounds[store]
		verified := all[len(all)-1].Verified
		slices.SortFunc(all, func(a, b figures) int { return cmp.Compare(a.Rate, b.Rate) })
		middle := all[len(all)/2]
		middle.Verified = verified // of the last round
		if store == "none" {
			bare = middle
		}
		middle.Ratio, middle.WorkRatio = middle.Rate/bare.Rate, bare.work()/middle.work()
		middle.Note = fmt.Sprintf("by time on processors %.2f; median of %d rounds, %.0f to %.0f events/s", middle.WorkRatio, len(all), all[0].Rate, all[len(all)-1].Rate)
		r.say.line(middle)
	}
	return r.say.save("ratio")
}

func (r *run) ratioRound(ctx context.Context, f *fleet, store string, n int) (line figures, err error) {
	s, err := r.another(f, store)
	if err != nil {
		return line, err
	}
	if r.profile != "" {
		s.profile = filepath.Join(r.profile, fmt.Sprintf("%s-%d.pprof", store, n))
	}
	v, err := s.serve(s.data, "")
	if err != nil {
		return line, err
	}
	defer s.stop()
	some := slices.Clone(f.members[:min(ratioDevices, len(f.members))])
	for i, m := range some { // what is said here is said to another store
		some[i] = &member{name: m.name, boot: m.boot, id: m.id, said: map[string]*backlog{}}
	}
	count := &meter{}
	watch := v.watch(s)
	began := time.Now()
	err = atOnce(ratioAtOnce, some, func(m *member) error {
		p, err := m.peer(count, v.url)
		if err != nil {
			return err
		}
		defer p.close()
		return m.sendAll(ctx, m.say(week, weekBatch), p)
	})
	line = watch.end(count.figures("ratio", store, len(some), time.Since(began)))
	if err != nil || store == "none" || n < r.rounds-1 {
		return line, err
	}
	if err := s.stop(); err != nil {
		return line, err
	}
	line.Verified, err = (&fleet{site: s, members: some}).settle()
	return line, err
}

// work is the time on processors for one event, of the devices, the collector and the database. Others who share the
// processors change it less than they change the rate.
func (f figures) work() float64 { return (f.CPU + f.StoreCPU + f.FleetCPU) / float64(f.Events) }
