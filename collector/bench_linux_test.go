//go:build linux && storeless

package collector

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"stepaway/audit"
	pg "stepaway/test/postgres"
	"stepaway/uplink"
)

// The load: so many devices of which each has a week of events waiting, so many of them at once, on the cores of the
// collector.
const (
	benchDevices = 200
	benchEvents  = 420
	benchBatch   = 140
	benchAtOnce  = 32
	benchRounds  = 3
)

// BenchmarkStores has devices empty their spools over mutual TLS into each store, and into none, in turns. With none, all is
// done but the keeping. Ratios are of the events a second.
func BenchmarkStores(b *testing.B) {
	sites := []*benchSite{newBenchSite(b, "none"), newBenchSite(b, "sqlite"), newBenchSite(b, "postgres")}
	for b.Loop() {
		for round := range benchRounds {
			load := newLoad(b, round)
			for _, s := range sites {
				s.run(b, load)
			}
		}
	}
	none := median(sites[0].rates)
	for _, s := range sites {
		rate := median(s.rates)
		slices.Sort(s.took)
		b.ReportMetric(rate, s.name+"-events/s")
		b.ReportMetric(rate/none, s.name+"-ratio")
		b.ReportMetric(float64(s.took[len(s.took)/2].Microseconds())/1000, s.name+"-p50-ms")
		b.ReportMetric(float64(s.took[len(s.took)*99/100].Microseconds())/1000, s.name+"-p99-ms")
		if s.name != "none" {
			s.whole(b)
		}
	}
	b.ReportMetric(0, "ns/op")
}

func median(of []float64) float64 {
	of = slices.Sorted(slices.Values(of))
	return of[len(of)/2]
}

// benchSite is a collector on one store.
type benchSite struct {
	*site
	name  string
	rates []float64 // of each round
	took  []time.Duration
	sent  int
}

func newBenchSite(b *testing.B, name string) *benchSite {
	b.Helper()
	s := &benchSite{name: name, site: &site{engine: name, dir: filepath.Join(b.TempDir(), "data")}}
	var err error
	s.a, err = Init(s.dir, nil, time.Now())
	must(b, err)
	switch name {
	case "none":
		s.store = OpenNothing()
	case "postgres":
		s.address, s.database = pg.Fresh(b)
		fallthrough
	default:
		s.store = s.open(b)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	s.url = "https://" + l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- NewServer(s.a, s.store, slog.New(slog.DiscardHandler)).Serve(ctx, l) }()
	b.Cleanup(func() {
		cancel()
		<-done
		must(b, s.store.Close())
	})
	return s
}

// newLoad makes the batches of every device, of an epoch for each round.
func newLoad(b *testing.B, round int) (load [][][]byte) {
	b.Helper()
	for i := range benchDevices {
		c := &chain{device: benchDevice(i), epoch: fmt.Sprintf("%016x", round+1)}
		c.grow(b, benchEvents)
		var batches [][]byte
		for n := 0; n < benchEvents; n += benchBatch {
			body, err := json.Marshal(uplink.Batch{Device: c.device, Epoch: c.epoch, Events: c.bodies[n:min(n+benchBatch, benchEvents)]})
			must(b, err)
			batches = append(batches, body)
		}
		load = append(load, batches)
	}
	return load
}

func benchDevice(i int) audit.Label { return audit.Label(fmt.Sprintf("ws-%05d", i)) }

// run sends a load, a connection for each device.
func (s *benchSite) run(b *testing.B, load [][][]byte) {
	b.Helper()
	clients := make([]*http.Client, len(load))
	for i := range load {
		clients[i] = s.device(b, benchDevice(i), time.Now())
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	places := make(chan struct{}, benchAtOnce)
	begun := time.Now()
	for i, batches := range load {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			for _, body := range batches {
				at := time.Now()
				if err := s.deliver(clients[i], body); err != nil {
					b.Error(err)
					return
				}
				mu.Lock()
				s.took = append(s.took, time.Since(at))
				mu.Unlock()
			}
			clients[i].CloseIdleConnections()
		})
	}
	all.Wait()
	s.sent += len(load) * benchEvents
	s.rates = append(s.rates, float64(len(load)*benchEvents)/time.Since(begun).Seconds())
}

func (s *benchSite) deliver(c *http.Client, body []byte) error {
	resp, err := c.Post(s.url+uplink.PathEvents, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if answer, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%d %s %w", resp.StatusCode, answer, err)
	}
	return nil
}

// whole makes sure that the store has everything that was sent.
func (s *benchSite) whole(b *testing.B) {
	b.Helper()
	v, err := Verify(context.Background(), s.store, s.key())
	must(b, err)
	if len(v.Findings) > 0 || v.Events != s.sent {
		b.Errorf("%s: %d events of %d, %d findings", s.name, v.Events, s.sent, len(v.Findings))
	}
}
