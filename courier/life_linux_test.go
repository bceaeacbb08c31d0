package courier_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/collector"
	"stepaway/courier"
	"stepaway/uplink"
)

// house is a collector in this process, with a clock of the test's own.
type house struct {
	t      *testing.T
	dir    string
	a      *collector.Authority
	store  *collector.Store
	url    string
	moment atomic.Int64 // Unix nanoseconds of the true time
}

func (h *house) now() time.Time           { return time.Unix(0, h.moment.Load()) }
func (h *house) pass(d time.Duration)     { h.moment.Add(int64(d)) }
func (h *house) sinceBoot() time.Duration { return time.Duration(h.moment.Load()) }
func (h *house) path(names ...string) string {
	return filepath.Join(append([]string{h.t.TempDir()}, names...)...)
}

// newHouse begins at some time. listen may change how it is served.
func newHouse(t *testing.T, begin time.Time, pki collector.PKI) *house {
	t.Helper()
	h := &house{t: t, dir: filepath.Join(t.TempDir(), "data")}
	h.moment.Store(begin.UnixNano())
	var err error
	if h.a, err = collector.Init(h.dir, []string{"collector.test"}, begin); err != nil {
		t.Fatal(err)
	}
	if h.store, err = collector.OpenSQLite(h.dir); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.url = "https://" + l.Addr().String()
	s := collector.NewServer(h.a, h.store, slog.New(slog.DiscardHandler))
	s.Now, s.PKI = h.now, pki
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
		h.store.Close()
	})
	return h
}

// token makes one as of the house's time.
func (h *house) token(device audit.Label) uplink.Token {
	h.t.Helper()
	tok, err := collector.NewToken(context.Background(), h.a, h.store, device, "", time.Hour, h.now())
	if err != nil {
		h.t.Fatal(err)
	}
	return tok
}

// workstation is an enrolled device, whose wall clock is off.
type workstation struct {
	*house
	dir string
	off atomic.Int64 // of the wall clock
	*courier.Client
}

func (w *workstation) clock() *courier.Clock {
	return courier.NewClock(func() time.Time { return w.now().Add(time.Duration(w.off.Load())) }, w.sinceBoot)
}

func (h *house) workstation(device audit.Label, off time.Duration) (*workstation, error) {
	w := &workstation{house: h, dir: h.path("identity")}
	w.off.Store(int64(off))
	return w, w.enroll(device)
}

func (w *workstation) enroll(device audit.Label) error {
	o := courier.EnrollOptions{Dir: w.dir, URL: w.url, Clock: w.clock()}
	if _, err := courier.Enroll(context.Background(), o, w.token(device)); err != nil {
		return err
	}
	return w.start()
}

// start is a new start of the courier.
func (w *workstation) start() error {
	if w.Client != nil {
		w.Close()
	}
	id, err := courier.LoadIdentity(w.dir)
	if err != nil {
		return err
	}
	w.Client, err = courier.NewClient(id, courier.ClientOptions{URL: w.url, Timeout: 20 * time.Second, Clock: w.clock()})
	return err
}

func code(err error) string {
	var a *courier.AnswerError
	if errors.As(err, &a) {
		return a.Code
	}
	return fmt.Sprint(err)
}

const day = 24 * time.Hour

// TestAYear: a workstation renews its certificate for a year, day by day. Once it is off for so long that a renewal is
// missed, once for too long, and in the end it is revoked.
func TestAYear(t *testing.T) {
	h := newHouse(t, time.Date(2027, 1, 1, 12, 0, 0, 0, time.UTC), collector.PKI{})
	w, err := h.workstation("ws-1", 0)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	renewals, last := 0, h.now()
	look := func() {
		t.Helper()
		renewed, err := w.Renew(ctx)
		if err != nil {
			t.Fatalf("%v: %v", h.now(), err)
		}
		if renewed {
			if age := h.now().Sub(last); age < 20*day-time.Minute || age > 24*day && age < 31*day {
				t.Errorf("%v: renewed after %v", h.now(), age)
			}
			renewals, last = renewals+1, h.now()
		}
		if err := w.Probe(ctx); err != nil {
			t.Fatalf("%v: %v", h.now(), err)
		}
	}
	for d := range 365 {
		h.pass(day)
		if d%10 == 0 {
			if err := w.start(); err != nil {
				t.Fatal(err)
			}
		}
		look()
		switch d {
		case 100: // off over the end of the certificate
			h.pass(40 * day)
			if err := w.start(); err != nil {
				t.Fatal(err)
			}
			if err := w.Probe(ctx); code(err) != "lapsed" {
				t.Errorf("after 40 days: %v", err)
			}
			look()
		case 200: // off for too long
			h.pass(65 * day)
			if err := w.start(); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Renew(ctx); code(err) != "expired" {
				t.Errorf("after 65 days: %v", err)
			}
			if err := w.enroll("ws-1"); err != nil {
				t.Fatal(err)
			}
			last = h.now()
		}
	}
	if renewals < 14 || renewals > 18 {
		t.Errorf("%d renewals", renewals)
	}
	if _, err := h.store.Revoke(ctx, "ws-1", h.now()); err != nil {
		t.Fatal(err)
	}
	if err := w.Probe(ctx); code(err) != "revoked" {
		t.Errorf("revoked: %v", err)
	}
	h.pass(23 * day)
	if renewed, err := w.Renew(ctx); renewed || code(err) != "revoked" {
		t.Errorf("renewed although revoked: %v, %v", renewed, err)
	}
}

// TestWrongClock: a workstation whose clock is wrong from its first start enrolls, delivers and renews, and knows how wrong
// the clock is.
func TestWrongClock(t *testing.T) {
	for _, off := range []time.Duration{0, -time.Hour, time.Hour, -400 * day, 400 * day, -31 * 365 * day, 20 * 365 * day, 100 * 365 * day} {
		t.Run(fmt.Sprint(off), func(t *testing.T) {
			h := newHouse(t, time.Date(2027, 1, 1, 12, 0, 0, 0, time.UTC), collector.PKI{})
			w, err := h.workstation("ws-1", off)
			if err != nil {
				t.Fatal(err)
			}
			ctx := context.Background()
			if err := w.Probe(ctx); err != nil {
				t.Fatal(err)
			}
			if is, known := w.Clock().Off(); !known || (is-off).Abs() > 2*time.Second {
				t.Errorf("off by %v, taken for %v, %v", off, is, known)
			}
			if renewed, err := w.Renew(ctx); renewed || err != nil {
				t.Errorf("renewed at once: %v, %v", renewed, err)
			}
			h.pass(270 * day) // the server has a new certificate; the device is off meanwhile, and its clock is still wrong
			if err := w.start(); err != nil {
				t.Fatal(err)
			}
			if err := w.Probe(ctx); code(err) != "expired" {
				t.Errorf("after 270 days: %v", err)
			}
			if err := w.enroll("ws-1"); err != nil {
				t.Fatal(err)
			}
			h.pass(25 * day)
			if err := w.start(); err != nil {
				t.Fatal(err)
			}
			if err := w.Probe(ctx); err != nil { // as does a run that learns the time by its first delivery
				t.Fatal(err)
			}
			if renewed, err := w.Renew(ctx); !renewed || err != nil {
				t.Errorf("not renewed: %v, %v", renewed, err)
			}
			w.Close()
		})
	}
}

// TestTheClockJumpsWhileRunning: the wall clock is set while the courier runs; certificates are judged by the time since boot.
func TestTheClockJumpsWhileRunning(t *testing.T) {
	h := newHouse(t, time.Date(2027, 1, 1, 12, 0, 0, 0, time.UTC), collector.PKI{})
	w, err := h.workstation("ws-1", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, off := range []time.Duration{0, -50 * 365 * day, 50 * 365 * day} {
		w.off.Store(int64(off))
		h.pass(time.Hour)
		w.Close() // a new connection
		if err := w.Probe(context.Background()); err != nil {
			t.Errorf("%v: %v", off, err)
		}
	}
}

// TestTokensAreUsedOnce: of 50 workstations that enroll with one token at once, one is in, and has what it needs.
func TestTokensAreUsedOnce(t *testing.T) {
	h := newHouse(t, time.Now(), collector.PKI{})
	tok := h.token("ws-1")
	var in atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		dir := h.path("identity")
		wg.Go(func() {
			_, err := courier.Enroll(context.Background(), courier.EnrollOptions{Dir: dir, URL: h.url}, tok)
			if err == nil {
				in.Add(1)
				_, err = courier.LoadIdentity(dir)
			} else if code(err) == "token" {
				err = nil
				if _, there := os.Stat(dir); there == nil {
					t.Error("left something behind")
				}
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if in.Load() != 1 {
		t.Errorf("%d got in", in.Load())
	}
	expired := h.token("ws-2")
	h.pass(2 * time.Hour)
	if _, err := courier.Enroll(context.Background(), courier.EnrollOptions{Dir: h.path("x"), URL: h.url}, expired); code(err) != "token" {
		t.Errorf("expired: %v", err)
	}
}

// TestOldServerKey: somebody has the server's key of long ago. A clock that is right refuses it, and the time that would
// make it good again is not believed without the collector's signature over a fresh nonce.
func TestOldServerKey(t *testing.T) {
	begin := time.Date(2027, 1, 1, 12, 0, 0, 0, time.UTC)
	h := newHouse(t, begin, collector.PKI{})
	w, err := h.workstation("ws-1", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	stolen, err := tls.LoadX509KeyPair(filepath.Join(h.dir, "server.pem"), filepath.Join(h.dir, "server.pem"))
	if err != nil {
		t.Fatal(err)
	}
	h.pass(400 * day)
	// The thief serves with the old certificate, and has a collector of his own behind it, whose clock is set back.
	thief := newHouse(t, begin.Add(day), collector.PKI{})
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{stolen}, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go relay(l, strings.TrimPrefix(thief.url, "https://"))
	id, err := courier.LoadIdentity(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	c, err := courier.NewClient(id, courier.ClientOptions{URL: "https://" + l.Addr().String(), Timeout: 10 * time.Second, Clock: w.clock()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Probe(context.Background()); code(err) != "clock" {
		t.Errorf("%v", err)
	}
}

// relay ends the TLS of l and begins another to address.
func relay(l net.Listener, address string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			to, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
			if err != nil {
				return
			}
			defer to.Close()
			go io.Copy(to, c)
			io.Copy(c, to)
		}()
	}
}
