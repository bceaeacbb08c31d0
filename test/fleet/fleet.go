//go:build linux

package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"stepaway/audit"
	"stepaway/collector"
	"stepaway/courier"
	"stepaway/uplink"
)

// fleet is every device of one site.
type fleet struct {
	site    *site
	keys    string // directory of the devices' keys
	members []*member
}

// member is one workstation.
type member struct {
	name audit.Label
	boot string
	dir  string // of its identity
	id   *courier.Identity
	said map[string]*backlog // by epoch: what the collector must hold in the end
}

// enroll enrolls every device over the network, each with a token and a key of its own.
func (f *fleet) enroll(ctx context.Context, n int, say *report) error {
	var names []audit.Label
	for i := range n {
		names = append(names, audit.Label(fmt.Sprintf("ws-%05d", i)))
	}
	v, err := f.site.serve(f.site.data, "")
	if err != nil {
		return err
	}
	defer f.site.stop()
	tokens, mu := map[audit.Label]string{}, sync.Mutex{}
	err = f.site.tokens(ctx, names, v.url, func(name audit.Label, t string) {
		mu.Lock()
		defer mu.Unlock()
		tokens[name] = t
	})
	if err != nil {
		return err
	}
	watch := v.watch(f.site)
	began := time.Now()
	f.members = make([]*member, n)
	err = atOnce(24, names, func(name audit.Label) error {
		m := &member{name: name, boot: word(), dir: filepath.Join(f.keys, string(name)), said: map[string]*backlog{}}
		t, err := uplink.ParseToken(tokens[name])
		if err != nil {
			return err
		}
		if _, err := courier.Enroll(ctx, courier.EnrollOptions{Dir: m.dir, URL: v.url}, t); err != nil {
			return err
		}
		if m.id, err = courier.LoadIdentity(m.dir); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		var i int
		_, err = fmt.Sscanf(string(name), "ws-%d", &i)
		f.members[i] = m
		return err
	})
	if err != nil {
		return err
	}
	r := watch.end(figures{Scenario: "enrol", Store: f.site.kind, Devices: n, Seconds: time.Since(began).Seconds(), Events: int64(n)})
	say.line(r)
	return nil
}

// atOnce calls f for each value, n at a time, and answers the first error.
func atOnce[T any](n int, values []T, f func(T) error) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var first error
	next := make(chan T)
	for range n {
		wg.Go(func() {
			for v := range next {
				err := f(v)
				mu.Lock()
				if first == nil {
					first = err
				}
				mu.Unlock()
			}
		})
	}
	for _, v := range values {
		mu.Lock()
		failed := first != nil
		mu.Unlock()
		if failed {
			break
		}
		next <- v
	}
	close(next)
	wg.Wait()
	return first
}

func word() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// settle compares what the collector holds with what the devices said, and answers how many events that is.
func (f *fleet) settle() (events int64, err error) {
	heads, err := f.site.heads()
	if err != nil {
		return 0, err
	}
	v, err := f.site.verify()
	if err != nil {
		return 0, err
	}
	runs := map[string]collector.VerifiedRun{}
	for _, r := range v.Epochs {
		runs[string(r.Device)+"/"+r.Epoch] = r
	}
	for _, m := range f.members {
		for epoch, b := range m.said {
			p, got := b.Position(), runs[string(m.name)+"/"+epoch]
			delete(runs, string(m.name)+"/"+epoch)
			head := heads[m.name][epoch]
			switch {
			case p.Acked != p.Head:
				return 0, fmt.Errorf("%s has events %d to %d of %s still to deliver", m.name, p.Acked+1, p.Head, epoch)
			case p.Head == 0:
				continue
			case head.Last != p.Head || head.Hash != p.AckedHash:
				return 0, fmt.Errorf("%s said %d events in %s, the collector holds %d, or others", m.name, p.Head, epoch, head.Last)
			case got.From != 1 || got.To != p.Head || uint64(got.Events) != p.Head:
				return 0, fmt.Errorf("%s said %d events in %s, the collector finds %d to %d, %d events", m.name, p.Head, epoch, got.From, got.To, got.Events)
			}
			events += int64(p.Head)
		}
	}
	delete(runs, string(collector.Own)+"/0000000000000001")
	for name := range runs {
		return 0, fmt.Errorf("the collector holds %s, which nobody said", name)
	}
	return events, nil
}
