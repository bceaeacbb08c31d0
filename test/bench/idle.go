//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"stepaway/test/desktop"
)

// patient is the limit while costs are measured: nothing expires, nothing is warned of.
const patient = 30 * time.Minute

// settle is given to every program before it is measured.
const settle = 8 * time.Second

// subject is one program under measurement.
type subject struct {
	name string
	pid  int
}

// stage is a contender at work, with the processes that it consists of.
type stage struct {
	contender
	s        screen
	stop     func() error
	subjects []subject
}

// raise starts a contender; ours brings its courier and tray along.
func raise(c contender, dir string, locker []string) (st *stage, err error) {
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return nil, err
	}
	s, err := c.open(dir)
	if err != nil {
		return nil, err
	}
	p, err := c.watch(s, patient, locker)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	st = &stage{contender: c, s: s, subjects: []subject{{c.name, p.PID()}}}
	st.stop = func() error { return errors.Join(p.Stop(5*time.Second), s.close()) }
	time.Sleep(settle)
	for name, pid := range desktop.Descendants(p.PID()) {
		if name == "stepaway-courier" || name == "stepaway-tray" {
			st.subjects = append(st.subjects, subject{name, pid})
		}
	}
	select {
	case <-p.Done():
		return nil, errors.Join(fmt.Errorf("%s ended at once: %s", c.name, p.Output()), st.stop())
	default:
		return st, nil
	}
}

// measureCosts runs all contenders at the same time, first without input, then with input ten times a second.
func measureCosts(cs []contender, base, stamp string, span time.Duration) (costs []cost) {
	var stages []*stage
	for _, c := range cs {
		dir := filepath.Join(base, "cost-"+c.name)
		st, err := raise(c, dir, []string{stamp, "stamp", filepath.Join(dir, "stamps")})
		if err != nil {
			costs = append(costs, cost{Name: c.name, Error: err.Error()})
			continue
		}
		stages = append(stages, st)
	}
	costs = append(costs, stretch(stages, "idle", span)...)
	stopInput := steadyInput(stages)
	time.Sleep(time.Second)
	costs = append(costs, stretch(stages, "input", span)...)
	stopInput()
	for _, st := range stages {
		if err := st.stop(); err != nil {
			costs = append(costs, cost{Name: st.name, Error: err.Error()})
		}
	}
	return costs
}

// stretch lets a time pass and tells what every subject took in it.
func stretch(stages []*stage, phase string, span time.Duration) (costs []cost) {
	before := map[int]reading{}
	for _, st := range stages {
		for _, sub := range st.subjects {
			before[sub.pid], _ = read(sub.pid)
		}
	}
	began := time.Now()
	time.Sleep(span)
	minutes := time.Since(began).Minutes()
	for _, st := range stages {
		for _, sub := range st.subjects {
			costs = append(costs, difference(sub, phase, before[sub.pid], minutes))
		}
	}
	return costs
}

func difference(sub subject, phase string, before reading, minutes float64) cost {
	c := cost{Name: sub.name, Phase: phase, RSSKB: resident(sub.pid)}
	after, err := read(sub.pid)
	if err != nil {
		c.Error = err.Error()
		return c
	}
	c.Switches = float64(after.switches-before.switches) / minutes
	c.CPUMS = float64(after.cpuNS-before.cpuNS) / 1e6 / minutes
	return c
}

// steadyInput gives input on every screen ten times a second until it is stopped.
func steadyInput(stages []*stage) (stop func()) {
	end := make(chan struct{})
	var group sync.WaitGroup
	for _, st := range stages {
		group.Go(func() {
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-end:
					return
				case <-tick.C:
					_, _ = st.s.input()
				}
			}
		})
	}
	return func() { close(end); group.Wait() }
}
