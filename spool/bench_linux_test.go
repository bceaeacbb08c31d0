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

// BenchmarkWeeks is a spool after weeks offline: a million events are written, the file is opened with its check in a child, and
// everything is read and acknowledged in batches of 500. The file is then small again.
func BenchmarkWeeks(b *testing.B) {
	const waiting = 1_000_000
	o := Options{MaxBytes: 8 << 30, Check: inChild(b)}
	for b.Loop() {
		dir := b.TempDir()
		path := filepath.Join(dir, fileName)
		began := time.Now()
		since := func() float64 {
			s := time.Since(began).Seconds()
			began = time.Now()
			return s
		}
		s, _, err := Open(dir, o)
		must(b, err)
		for i := uint64(0); i < waiting; i += 500 {
			mustAppend(b, s, events("a", i+1, i+500)...)
		}
		b.ReportMetric(waiting/since(), "written/s")
		closeSpool(b, s)
		b.ReportMetric(float64(fileSize(path))/1e6, "full-MB")
		since()
		s, r, err := Open(dir, o)
		must(b, err)
		b.ReportMetric(since(), "open-s")
		if r.Head != waiting || r.Code != "" {
			b.Fatalf("%+v", r)
		}
		for s.State().Acked < waiting {
			rs, err := s.Next(s.State().Acked, 500, 1<<20)
			must(b, err)
			last := rs[len(rs)-1]
			must(b, s.Ack(last.Seq, last.Hash, ""))
		}
		b.ReportMetric(waiting/since(), "drained/s")
		b.ReportMetric(float64(fileSize(path))/1e3, "drained-kB")
		closeSpool(b, s)
	}
}
