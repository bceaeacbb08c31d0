//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

// Of the scenario kill.
const (
	killDevices = 500
	killEach    = 2 * week
)

// kill ends collectors with SIGKILL while devices deliver: on PostgreSQL one of two, which comes back after a while; on
// SQLite the only one, again and again. In the end everything is there, once.
func (r *run) kill(ctx context.Context, store string) error {
	f, err := r.fleet(ctx, store)
	if err != nil {
		return err
	}
	return r.killAt(ctx, f, min(killDevices, len(f.members)), killEach)
}

func (r *run) killAt(ctx context.Context, f *fleet, devices, each int) error {
	defer f.site.stop()
	first, err := f.site.serve(f.site.data, "")
	if err != nil {
		return err
	}
	urls, stays := []string{first.url}, first
	if f.site.kind == "postgres" {
		data := f.site.data + fmt.Sprint(f.site.n) // of another machine
		if err := f.site.copyKeys(data); err != nil {
			return err
		}
		if stays, err = f.site.serve(data, ""); err != nil {
			return err
		}
		urls = append(urls, stays.url)
	}
	count := &meter{}
	total := int64(devices * each)
	watch := stays.watch(f.site)
	began := time.Now()
	ended := make(chan error, 1)
	go func() {
		ended <- all(f.members[:devices], func(_ int, m *member) error {
			p, err := m.peer(count, urls...)
			if err != nil {
				return err
			}
			return m.deliver(ctx, m.say(each, weekBatch), p, 200*time.Millisecond)
		})
	}()
	note, err := r.killing(ctx, f, first, count, total)
	if err == nil {
		err = <-ended
	}
	if err != nil {
		return err
	}
	line := count.figures("kill", f.site.kind, devices, time.Since(began))
	line.Note = note
	if f.site.kind == "postgres" {
		line = watch.end(line)
	} else {
		line.Rate = float64(line.Events) / line.Seconds
	}
	if err := f.site.stop(); err != nil {
		return err
	}
	return r.settled(f, line)
}

// killing kills collectors at even parts of the load, and starts them again at their place.
func (r *run) killing(ctx context.Context, f *fleet, v *serving, count *meter, total int64) (note string, err error) {
	times, away := r.kills, time.Duration(0)
	note = fmt.Sprintf("the collector killed %d times", times)
	if f.site.kind == "postgres" {
		times, away = 1, 3*time.Second
		note = "one of two collectors killed in the middle, back after 3 s"
	}
	for i := range times {
		for count.soFar() < total*int64(i+1)/int64(times+1) {
			if pause(ctx, 10*time.Millisecond); ctx.Err() != nil {
				return note, ctx.Err()
			}
		}
		address := v.kill()
		pause(ctx, away)
		if v, err = f.site.serve(v.data, address); err != nil {
			return note, err
		}
	}
	return note, nil
}

func (m *meter) soFar() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.events
}
