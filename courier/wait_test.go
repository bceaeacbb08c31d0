package courier

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"stepaway/audit"
	"stepaway/link"
	"stepaway/uplink"
)

// shelf is a spool in memory that holds one event, which is never acknowledged unless the peer does.
type shelf struct {
	mu     sync.Mutex
	events []audit.Event
	acked  uint64
}

func (s *shelf) Append(es []audit.Event) (first, last uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, es...)
	return 0, uint64(len(s.events)), nil
}

func (s *shelf) Next(after uint64, _, _ int) (rs []audit.Record, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := after; i < uint64(len(s.events)); i++ {
		rs = append(rs, audit.Record{Seq: i + 1, Hash: "h", Body: []byte("{}")})
	}
	return rs, nil
}

func (s *shelf) Ack(last uint64, _, _ string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acked = last
	return nil
}

func (s *shelf) Fork(audit.Label) error { return nil }

func (s *shelf) Position() Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Position{Head: uint64(len(s.events)), Acked: s.acked}
}

func (s *shelf) has(typ audit.Type) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e.Type == typ {
			n++
		}
	}
	return n
}

// door answers every request with one code, or takes what is sent for "".
type door struct {
	mu     sync.Mutex
	code   string
	tries  int
	renews int
	heal   bool // a renewal sets the code to ""
}

func (d *door) answer() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.tries++; d.code == "" {
		return nil
	}
	return &AnswerError{Code: d.code, Err: errors.New(d.code)}
}

func (d *door) Send(_ context.Context, b uplink.Batch, sent []audit.Record) (uplink.Ack, error) {
	return uplink.Ack{Last: sent[len(sent)-1].Seq, Hash: "h"}, d.answer()
}

func (d *door) Probe(context.Context) error { return d.answer() }

func (d *door) Renew(context.Context) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.renews++
	if d.heal && d.code != "" {
		d.code = ""
		return true, nil
	}
	return false, nil
}

// TestNobodyIsHammered runs a courier for a day against a collector that answers one thing, and counts what it asks.
func TestNobodyIsHammered(t *testing.T) {
	for code, most := range map[string]int{"revoked": 100, "expired": 100, "version": 100, "refused": 1200, "event": 1200, "unreachable": 1200,
		"tls": 1200, "clock": 1200, "proxy": 1200, "lapsed": 1200} {
		t.Run(code, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, q := &door{code: code}, &shelf{events: []audit.Event{{}}}
				ctx, cancel := context.WithCancel(context.Background())
				c := New(q, Options{Peer: d, Stamp: stampTest, Log: slog.New(slog.DiscardHandler)})
				done := make(chan error, 1)
				go func() { done <- c.Run(ctx) }()
				time.Sleep(24 * time.Hour)
				if s := c.Status(); s.Collector != "down" || s.Code != code || Codes[s.Code] == "" {
					t.Errorf("status %+v", s)
				}
				if d.tries < 20 || d.tries > most || d.renews > 60 {
					t.Errorf("%d tries, %d renewals", d.tries, d.renews)
				}
				if q.has(audit.CollectorDown) != 1 || q.Position().Acked != 0 {
					t.Errorf("%d collector.down", q.has(audit.CollectorDown))
				}
				d.mu.Lock()
				d.code = ""
				d.mu.Unlock()
				time.Sleep(time.Hour)
				if p := q.Position(); p.Acked != p.Head || c.Status().Collector != "up" {
					t.Errorf("not delivered when it works again: %+v %+v", p, c.Status())
				}
				cancel()
				<-done
			})
		})
	}
}

// TestLapsedIsRenewedAtOnce: the collector says that the certificate has ended, whatever the clock here says.
func TestLapsedIsRenewedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, q := &door{code: "lapsed", heal: true}, &shelf{events: []audit.Event{{}}}
		ctx, cancel := context.WithCancel(context.Background())
		c := New(q, Options{Peer: &later{door: d}, Stamp: stampTest, Log: slog.New(slog.DiscardHandler)})
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		time.Sleep(10 * time.Second)
		if p := q.Position(); p.Acked != p.Head || q.has(audit.CertificateRenewed) != 1 || c.Status().Collector != "up" {
			t.Errorf("%+v, %d renewals, %+v", p, q.has(audit.CertificateRenewed), c.Status())
		}
		cancel()
		<-done
	})
}

// later does not renew on the first look, when the clock says that nothing is due.
type later struct {
	*door
	looked bool
}

func (l *later) Renew(ctx context.Context) (bool, error) {
	if !l.looked {
		l.looked = true
		return false, nil
	}
	return l.door.Renew(ctx)
}

// TestRenewalsAreSpread: the day depends on the certificate, between two thirds and three quarters of its life.
func TestRenewalsAreSpread(t *testing.T) {
	from := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	days := map[int]int{}
	for range 300 {
		serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
		if err != nil {
			t.Fatal(err)
		}
		at := renewAt(from, from.AddDate(0, 0, 30), serial)
		days[int(at.Sub(from).Hours())/24]++
	}
	if len(days) != 3 || days[20] < 40 || days[21] < 40 || days[22] < 20 {
		t.Errorf("%v", days)
	}
}

// TestAClockThatWasSet: what was refused for the time is tried again as soon as the enforcer tells that the clock was set,
// and not with the next of the rare tries.
func TestAClockThatWasSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, q := &door{code: "expired"}, &shelf{events: []audit.Event{{}}}
		near, far := net.Pipe()
		dial := func(context.Context) (net.Conn, error) { return near, nil }
		ctx, cancel := context.WithCancel(context.Background())
		c := New(q, Options{Peer: d, Dial: dial, Stamp: stampTest, Log: slog.New(slog.DiscardHandler)})
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		told := make(chan error, 1)
		go func() { // hears what the courier says
			for {
				if _, err := link.Read(far); err != nil {
					told <- err
					return
				}
			}
		}()
		say := func(n uint64, typ audit.Type) {
			t.Helper()
			e := audit.Event{Type: typ, Run: "r", N: n}
			if err := link.Write(far, link.Message{Events: &link.Events{Run: "r", Batch: []audit.Event{e}}}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		time.Sleep(time.Second)
		d.mu.Lock()
		d.code = ""
		d.mu.Unlock()
		say(1, audit.SessionStart)
		if p := q.Position(); p.Acked != 0 {
			t.Fatalf("tried again for nothing: %+v", p)
		}
		say(2, audit.ClockJump)
		if p := q.Position(); p.Acked != p.Head || c.Status().Collector != "up" {
			t.Errorf("a second after the clock was set: %+v %+v", p, c.Status())
		}
		cancel()
		<-done
		far.Close()
		<-told
	})
}
