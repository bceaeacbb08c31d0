//go:build linux

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"stepaway/clock"
)

// lateness is how long after its deadline a contender started its locker. The deadline is the last input plus the
// limit, on the clock that counts sleep. Milliseconds.
type lateness struct {
	Name      string    `json:"name"`
	LimitS    float64   `json:"limit_s"`
	Deadlines int       `json:"deadlines"`
	Missed    int       `json:"missed"` // no locker within 15 s of the deadline
	P50       float64   `json:"p50_ms"`
	P99       float64   `json:"p99_ms"`
	Max       float64   `json:"max_ms"`
	Min       float64   `json:"min_ms"` // below zero: early
	Note      string    `json:"note,omitempty"`
	Error     string    `json:"error,omitempty"`
	Samples   []float64 `json:"samples_ms"`
}

// missed is waited for a locker after its deadline, and then given up.
const missed = 15 * time.Second

// starting holds back the number of screens that start at once, on a small machine.
var starting = make(chan struct{}, 6)

// measureLateness gives input on all of the contender's screens, at random instants, and sees when lockers start,
// for as many deadlines as are asked for or a few more.
// Where the contender keeps records, a second result says when it asked for the lock by those.
func measureLateness(c contender, deadlines int, base, stamp string) []lateness {
	var mu sync.Mutex
	var all late
	var errs []error
	var group sync.WaitGroup
	screens := min(c.screens, deadlines)
	rounds := (deadlines + screens - 1) / screens
	for i := range screens {
		group.Go(func() {
			one, err := onScreen(c, rounds, filepath.Join(base, c.name+"-"+strconv.Itoa(i)), stamp)
			mu.Lock()
			defer mu.Unlock()
			all.locker = append(all.locker, one.locker...)
			all.asked = append(all.asked, one.asked...)
			errs = append(errs, err)
		})
	}
	group.Wait()
	r := summarize(all.locker)
	r.Name, r.LimitS, r.Note = c.name, c.limit.Seconds(), c.note
	if err := errors.Join(errs...); err != nil {
		r.Error = err.Error()
	}
	if c.asked == nil {
		return []lateness{r}
	}
	asked := summarize(all.asked)
	asked.Name, asked.LimitS, asked.Note = c.name+": lock asked for", r.LimitS, "by late_ms of its own record lock.requested"
	return []lateness{asked, r}
}

// late are the samples of one screen or of all, in milliseconds.
type late struct {
	locker []float64 // when lockers started
	asked  []float64 // when the contender first asked for the lock, by its own records
}

func summarize(samples []float64) lateness {
	slices.Sort(samples)
	r := lateness{Deadlines: len(samples), Samples: samples}
	for _, s := range samples {
		if s >= float64(missed.Milliseconds()) {
			r.Missed++
		}
	}
	if len(samples) > 0 {
		r.Min, r.P50, r.P99, r.Max = samples[0], quantile(samples, 0.5), quantile(samples, 0.99), samples[len(samples)-1]
	}
	return r
}

// quantile of sorted samples, the nearest rank.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(q*float64(len(sorted)-1)+0.5)]
}

// onScreen measures one screen's rounds.
func onScreen(c contender, rounds int, dir, stamp string) (l late, err error) {
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return l, err
	}
	starting <- struct{}{}
	s, err := c.open(dir)
	<-starting
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	file := filepath.Join(dir, "stamps")
	locker := []string{stamp, "stamp", file}
	stop := func() error { return nil }
	defer func() { err = errors.Join(err, stop()) }()
	for i := range rounds {
		if i == 0 || c.fresh {
			if err := stop(); err != nil {
				return l, err
			}
			p, err := c.watch(s, c.limit, locker)
			if err != nil {
				return l, err
			}
			stop = func() error { return p.Stop(5 * time.Second) }
			time.Sleep(2 * time.Second)
		}
		if err := l.round(c, s, file); err != nil {
			return l, err
		}
	}
	return l, nil
}

// round takes one sample, and the contender's own word on it.
func (l *late) round(c contender, s screen, file string) error {
	ms, err := round(c, s, file)
	if err != nil {
		return err
	}
	l.locker = append(l.locker, ms)
	if c.asked == nil {
		return nil
	}
	if ms, err = c.asked(s); err == nil {
		l.asked = append(l.asked, ms)
	}
	return err
}

// round gives one input and waits for the locker that it leads to.
func round(c contender, s screen, file string) (ms float64, err error) {
	time.Sleep(rand.N(c.limit / 2)) // screens keep out of step
	at, err := s.input()
	if err != nil {
		return 0, err
	}
	deadline := at + c.limit
	for clock.Now() < deadline+missed {
		when, ok := lastStamp(file)
		if ok && when > at {
			return float64((when - deadline).Microseconds()) / 1000, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return float64(missed.Milliseconds()), nil
}

// lastStamp reads when a locker was last started, since boot.
func lastStamp(file string) (time.Duration, bool) {
	b, _ := os.ReadFile(file)
	lines := strings.Fields(string(b))
	if len(lines) == 0 {
		return 0, false
	}
	ns, err := strconv.ParseInt(lines[len(lines)-1], 10, 64)
	return time.Duration(ns), err == nil
}

// leaveStamp is the locker of every contender: it records when it was started, and ends.
func leaveStamp(file string) error {
	now := clock.Now()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, int64(now))
	return errors.Join(err, f.Close())
}
