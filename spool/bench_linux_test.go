package spool

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stepaway/audit"
)

// BenchmarkAppend puts the spool beside a plain file, appended to and synced, in one run: alternating
// rounds, so that both meet the same disk. p50 is the median wait of one event in microseconds.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			s, _ := open(b, b.TempDir(), Options{MaxBytes: 1 << 30})
			p := newPlain(b)
			var n atomic.Uint64
			intoSpool := func() {
				if _, _, err := s.Append([]audit.Event{{V: 1, Type: audit.LockProved, Severity: audit.Info, Outcome: audit.Success,
					Wall: time.Now(), BootMS: int64(n.Add(1)), Agent: "v1", Session: &audit.Session{ID: "2", Kind: "x11", User: "nurse"}}}); err != nil {
					b.Error(err)
				}
			}
			var spoolTimes, plainTimes []time.Duration
			round := max(writers, 64)
			for b.Loop() {
				spoolTimes = append(spoolTimes, spread(writers, round, intoSpool)...)
				plainTimes = append(plainTimes, spread(writers, round, p.append)...)
			}
			for name, q := range map[string]float64{"p50": 0.5, "p99": 0.99} {
				x, y := quantile(spoolTimes, q), quantile(plainTimes, q)
				b.ReportMetric(float64(x.Microseconds()), "spool-"+name+"-µs")
				b.ReportMetric(float64(y.Microseconds()), "file-"+name+"-µs")
				b.ReportMetric(float64(x)/float64(y), name+"-ratio")
			}
		})
	}
}

// spread does what is asked n times in all by so many goroutines, and gives each time it took.
func spread(writers, n int, do func()) []time.Duration {
	var mu sync.Mutex
	var all []time.Duration
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range n / writers {
				began := time.Now()
				do()
				took := time.Since(began)
				mu.Lock()
				all = append(all, took)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return all
}

func quantile(ds []time.Duration, q float64) time.Duration {
	slices.Sort(ds)
	return ds[int(q*float64(len(ds)-1))]
}

// plain is a file that is appended to, with one sync for whoever waits.
type plain struct {
	b    *testing.B
	jobs chan chan struct{}
}

func newPlain(b *testing.B) *plain {
	f, err := os.Create(filepath.Join(b.TempDir(), "plain"))
	must(b, err)
	p := &plain{b: b, jobs: make(chan chan struct{})}
	line := make([]byte, 400)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for j := range p.jobs {
			js := []chan struct{}{j}
			for more := true; more && len(js) < 1024; {
				select {
				case j := <-p.jobs:
					js = append(js, j)
				default:
					more = false
				}
			}
			for range js {
				f.Write(line)
			}
			if err := unix.Fdatasync(int(f.Fd())); err != nil {
				b.Error(err)
			}
			for _, j := range js {
				close(j)
			}
		}
	}()
	b.Cleanup(func() { close(p.jobs); <-done; f.Close() })
	return p
}

func (p *plain) append() {
	j := make(chan struct{})
	p.jobs <- j
	<-j
}

// BenchmarkDrain reads and acknowledges 20,000 events in batches of 500.
func BenchmarkDrain(b *testing.B) {
	const waiting = 20_000
	for b.Loop() {
		b.StopTimer()
		s := filled(b, b.TempDir(), waiting)
		b.StartTimer()
		for s.State().Acked < waiting {
			rs, err := s.Next(s.State().Acked, 500, 1<<20)
			must(b, err)
			r := rs[len(rs)-1]
			must(b, s.Ack(r.Seq, r.Hash, ""))
		}
		b.StopTimer()
		closeSpool(b, s)
		b.StartTimer()
	}
	b.ReportMetric(waiting*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkOpen opens a spool in which 100,000 events wait, its check in a child included.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	closeSpool(b, filled(b, dir, 100_000))
	for b.Loop() {
		s, r, err := Open(dir, Options{Check: inChild(b)})
		must(b, err)
		if r.Head != 100_000 || r.Code != "" {
			b.Fatalf("%+v", r)
		}
		closeSpool(b, s)
	}
	b.ReportMetric(float64(fileSize(filepath.Join(dir, fileName))), "bytes")
}

func filled(b *testing.B, dir string, n uint64) *Spool {
	s, _, err := Open(dir, Options{})
	must(b, err)
	for i := uint64(0); i < n; i += 500 {
		mustAppend(b, s, events("a", i+1, i+500)...)
	}
	return s
}
