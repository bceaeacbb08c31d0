package collector

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"stepaway/audit"
	"stepaway/uplink"
)

// TestSlowLines: more devices than are worked on at once send their batches as slowly as their lines let them. A good one is
// not told to come again, and they are served in the end.
func TestSlowLines(t *testing.T) {
	s := newSite(t)
	const slow = maxAtOnce + 20
	chain := newChain(t, "ws-1", "00000000000000aa", 40)
	ws := s.device(t, "ws-1", time.Now())
	s.send(t, ws, chain, 1, 1, nil)
	gate := make(chan struct{})
	var waiting, served atomic.Int64
	var wg sync.WaitGroup
	defer wg.Wait()
	for i := range slow {
		name := audit.Label(fmt.Sprintf("slow-%d", i))
		client := s.device(t, name, time.Now())
		body, err := json.Marshal(uplink.Batch{Device: name, Epoch: "00000000000000bb", Events: newChain(t, name, "00000000000000bb", 2).bodies})
		must(t, err)
		wg.Go(func() {
			half := len(body) / 2
			req, _ := http.NewRequest(http.MethodPost, s.url+uplink.PathEvents, io.MultiReader(bytes.NewReader(body[:half]), &gated{gate, &waiting}, bytes.NewReader(body[half:])))
			req.Header.Set("Content-Type", "application/json")
			req.ContentLength = int64(len(body))
			if resp, err := client.Do(req); err == nil {
				resp.Body.Close()
				if resp.StatusCode == http.StatusOK {
					served.Add(1)
				}
			}
		})
	}
	for end := time.Now().Add(60 * time.Second); waiting.Load() < slow && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	for n := 2; n <= 40; n += 2 {
		s.send(t, ws, chain, n, min(n+1, 40), nil)
	}
	close(gate)
	wg.Wait()
	// Those that come in at the same moment may be told to come again.
	if n := served.Load(); n < maxAtOnce {
		t.Errorf("%d of %d slow ones were served", n, slow)
	}
}

// gated is a part of a body that is long in coming.
type gated struct {
	open    chan struct{}
	waiting *atomic.Int64
}

func (g *gated) Read([]byte) (int, error) {
	g.waiting.Add(1)
	<-g.open
	return 0, io.EOF
}

// TestBytesAtOnce: requests that announce more bytes than there is room for are told to come again, and what was announced
// is free again afterwards.
func TestBytesAtOnce(t *testing.T) {
	s := NewServer(nil, nil, slog.New(slog.DiscardHandler))
	announce := func(n int64, body io.Reader) (func(), error) {
		r, err := http.NewRequest(http.MethodPost, "https://x"+uplink.PathEvents, body)
		must(t, err)
		r.ContentLength = n
		return s.receive(r)
	}
	var frees []func()
	for {
		free, err := announce(uplink.MaxBatch, strings.NewReader("{}"))
		if err != nil {
			break
		}
		frees = append(frees, free)
	}
	if n := len(frees); n != maxBodies/uplink.MaxBatch {
		t.Errorf("%d requests of the largest size at once", n)
	}
	for _, free := range frees {
		free()
	}
	for name, n := range map[string]int64{"unknown": -1, "too much": 1 << 40, "small": 2} {
		free, err := announce(n, strings.NewReader("{}"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		free()
	}
	if n := s.bodies.Load(); n != 0 {
		t.Errorf("%d bytes are never free again", n)
	}
}

// TestConnectionsOfOneDevice: a certificate gives a few connections, and the newest ones stay; others are not touched.
func TestConnectionsOfOneDevice(t *testing.T) {
	s := newSite(t)
	other := s.device(t, "ws-2", time.Now())
	reused := false
	if got := s.health(t, other); got != "204" {
		t.Fatal(got)
	}
	thief := s.device(t, "ws-9", time.Now()).Transport.(*http.Transport).TLSClientConfig
	var ended []chan struct{}
	for i := range 3 * maxOfDevice {
		c, err := tls.Dial("tcp", strings.TrimPrefix(s.url, "https://"), &tls.Config{InsecureSkipVerify: true, Certificates: thief.Certificates, NextProtos: []string{"h2"}})
		must(t, err)
		defer c.Close()
		fmt.Fprint(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
		first := make([]byte, 1)
		_, err = io.ReadFull(c, first)
		must(t, err)
		done := make(chan struct{})
		go func() { defer close(done); io.Copy(io.Discard, c) }()
		ended = append(ended, done)
		if i < maxOfDevice {
			continue
		}
		select {
		case <-ended[i-maxOfDevice]:
		case <-time.After(30 * time.Second):
			t.Fatalf("connection %d is open beside %d newer ones", i-maxOfDevice+1, maxOfDevice)
		}
	}
	for _, done := range ended[len(ended)-maxOfDevice:] {
		select {
		case <-done:
			t.Error("one of the newest connections was closed")
		default:
		}
	}
	req, err := http.NewRequestWithContext(traced(&reused), http.MethodGet, s.url+uplink.PathHealth, nil)
	must(t, err)
	resp, err := other.Do(req)
	must(t, err)
	resp.Body.Close()
	if !reused {
		t.Error("the connection of another device was closed")
	}
}

// TestTheDoorForgets: of a connection that has ended nothing is left, whenever it ends.
func TestTheDoorForgets(t *testing.T) {
	d := newDoor(nil, time.Hour)
	for i := range 100 {
		d.room <- struct{}{}
		g := &guest{Conn: nowhere{}, door: d, leaves: time.AfterFunc(time.Hour, func() {})}
		g.leave = sync.OnceFunc(func() { d.left(g) })
		device := audit.Label(fmt.Sprintf("ws-%d", i%7))
		if i%3 == 0 {
			g.Close()
		}
		g.stays(device)
		if i%3 == 1 {
			g.Close()
		}
		g.leaves.Stop()
	}
	for range 100 {
		for _, gs := range d.of {
			gs[0].Close()
			break
		}
	}
	if len(d.of) != 0 || len(d.room) != 0 {
		t.Errorf("%d devices and %d places are left", len(d.of), len(d.room))
	}
}

// nowhere is a connection that goes nowhere.
type nowhere struct{ net.Conn }

func (nowhere) Close() error { return nil }

// TestAPlaceIsWaitedFor: who comes when everybody is at work waits for a turn, for a while, as long as he is there himself.
func TestAPlaceIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		room := make(chan struct{}, 1)
		if !claim(t.Context(), room, 0) || claim(t.Context(), room, 0) {
			t.Fatal("one place is not one place")
		}
		began := time.Now()
		if claim(t.Context(), room, placeTime) || time.Since(began) != placeTime {
			t.Errorf("waited %v for a place that there was not", time.Since(began))
		}
		time.AfterFunc(time.Second, func() { <-room })
		began = time.Now()
		if !claim(t.Context(), room, placeTime) || time.Since(began) != time.Second {
			t.Errorf("had no place, or after %v, that was free after 1s", time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began = time.Now()
		if claim(ctx, room, placeTime) || time.Since(began) != time.Second {
			t.Errorf("waited %v for one who had gone", time.Since(began))
		}
	})
}
