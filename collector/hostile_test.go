package collector

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/uplink"
)

// TestStrangersLeave: a connection that shows no certificate is closed in a while, though it keeps asking; a device's stays.
func TestStrangersLeave(t *testing.T) {
	s := newSite(t)
	short := s.another(t, func(v *Server) { v.guests = 500 * time.Millisecond })
	ws := short.enrolled(t, "ws-1")
	if got := short.health(t, ws); got != "204" {
		t.Fatal(got)
	}
	c, err := tls.Dial("tcp", strings.TrimPrefix(short.url, "https://"), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	must(t, err)
	defer c.Close()
	began := time.Now()
	c.SetReadDeadline(began.Add(30 * time.Second))
	if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Errorf("still open after %v", time.Since(began))
	}
	reused := false
	req, err := http.NewRequestWithContext(traced(&reused), http.MethodGet, short.url+uplink.PathHealth, nil)
	must(t, err)
	resp, err := ws.Do(req)
	must(t, err)
	resp.Body.Close()
	if !reused || resp.StatusCode != 204 {
		t.Errorf("the device's connection: kept %v, %d", reused, resp.StatusCode)
	}
}

// TestHTTP2Alone: nothing else is spoken, over TLS or without.
func TestHTTP2Alone(t *testing.T) {
	s := newSite(t)
	address := strings.TrimPrefix(s.url, "https://")
	for name, protocols := range map[string][]string{"http/1.1": {"http/1.1"}, "none": nil, "h3": {"h3"}} {
		c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: protocols})
		if err != nil {
			continue
		}
		fmt.Fprintf(c, "GET %s?nonce=%s HTTP/1.1\r\nHost: x\r\n\r\n", uplink.PathTime, strings.Repeat("a", 32))
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if line, _ := bufio.NewReader(c).ReadString('\n'); strings.Contains(line, "200") {
			t.Errorf("%s: %s", name, line)
		}
		c.Close()
	}
	resp, err := http.Get("http://" + address + uplink.PathTime)
	if err == nil {
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("without TLS: %d", resp.StatusCode)
		}
	}
	client := s.device(t, "ws-1", time.Now())
	resp, err = client.Get(s.url + uplink.PathHealth)
	must(t, err)
	resp.Body.Close()
	if resp.ProtoMajor != 2 || resp.TLS.Version != tls.VersionTLS13 {
		t.Errorf("%s, TLS %x", resp.Proto, resp.TLS.Version)
	}
}

// slow is a body that comes a byte at a time, until the end of the test.
type slow struct {
	ctx  context.Context
	sent *atomic.Int64
}

func (b slow) Read(p []byte) (int, error) {
	select {
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	case <-time.After(100 * time.Millisecond):
		p[0] = ' '
		b.sent.Add(1)
		return 1, nil
	}
}

// TestSlowloris: strangers and a stolen certificate send bodies that never end; a good device is served all the while.
func TestSlowloris(t *testing.T) {
	s := newSite(t)
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	var sent atomic.Int64
	thief := s.enrolled(t, "ws-9")
	for i := range 80 {
		client, path := s.device(t, "", time.Now()), uplink.PathEnroll
		if i%2 == 0 {
			client, path = thief, uplink.PathEvents
		}
		wg.Go(func() {
			req, _ := http.NewRequestWithContext(ctx, http.MethodPost, s.url+path, slow{ctx, &sent})
			req.Header.Set("Content-Type", "application/json")
			if resp, err := client.Do(req); err == nil {
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
	for end := time.Now().Add(20 * time.Second); sent.Load() < 500 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	ws := s.device(t, "ws-1", time.Now()) // enrolment may be told to come again
	c := newChain(t, "ws-1", "00000000000000aa", 40)
	for n := 1; n < 40; n += 2 {
		s.send(t, ws, c, n, n+1, nil)
	}
}

// TestTenThousandHostileRequests: whatever comes, the good device's events are taken, and memory stays bounded.
func TestTenThousandHostileRequests(t *testing.T) {
	s := newSite(t)
	ws, thief := s.enrolled(t, "ws-1"), s.enrolled(t, "ws-9")
	c := newChain(t, "ws-1", "00000000000000aa", 200)
	_, csr, _ := newCSR(t)
	tok, err := NewToken(context.Background(), s.a, s.store, "ws-2", "", time.Hour, time.Now())
	must(t, err)
	good, err := json.Marshal(uplink.Batch{Device: "ws-9", Epoch: "00000000000000bb", Events: newChain(t, "ws-9", "00000000000000bb", 3).bodies})
	must(t, err)
	enroll, err := json.Marshal(uplink.Enroll{Secret: "x" + tok.Secret, CSR: csr})
	must(t, err)
	huge := bytes.Repeat([]byte(`{"device":`), 200_000)
	var asked, odd atomic.Int64
	var wg sync.WaitGroup
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	const workers, each = 8, 1250
	for w := range workers {
		stranger := s.device(t, "", time.Now())
		r := rand.New(rand.NewPCG(uint64(w), 1))
		wg.Go(func() {
			for i := range each {
				client, path, body := stranger, uplink.PathEnroll, mutated(r, enroll)
				switch i % 8 {
				case 0:
					client, path, body = thief, uplink.PathEvents, mutated(r, good)
				case 1:
					client, path, body = thief, uplink.PathRenew, mutated(r, enroll)
				case 2:
					path, body = uplink.PathEvents, good
				case 3:
					path, body = "/"+string(mutated(r, []byte("v1/events"))), nil
				case 4:
					if i%64 == 4 {
						body = huge
					}
				}
				status, _, err := s.post(client, strings.ToValidUTF8(path, "?"), body)
				if asked.Add(1); err == nil && status == 200 && client == stranger {
					odd.Add(1)
				}
			}
		})
	}
	began := time.Now()
	for n := 1; n <= 200; n++ {
		s.send(t, ws, c, n, n, nil)
	}
	took := time.Since(began)
	wg.Wait()
	var after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapInuse) - int64(before.HeapInuse); grown > 64<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
	if asked.Load() != workers*each || odd.Load() != 0 {
		t.Errorf("%d requests, %d strangers let in", asked.Load(), odd.Load())
	}
	if status, _ := s.enroll(t, tok.Secret); status != 200 {
		t.Errorf("the token is not good any more: %d", status)
	}
	t.Logf("200 batches in %v beside %d hostile requests", took, asked.Load())
	s.held(t, "ws-1", 200)
}

// held checks how many events of a device there are.
func (s *site) held(t testing.TB, device audit.Label, want int) {
	t.Helper()
	n := 0
	must(t, s.store.View(context.Background(), func(v *View) error {
		return v.Walk(Filter{Device: device}, func(Kept) error { n++; return nil })
	}))
	if n != want {
		t.Errorf("%d events of %s, want %d", n, device, want)
	}
}

// mutated changes a few bytes, cuts or doubles.
func mutated(r *rand.Rand, b []byte) []byte {
	b = bytes.Clone(b)
	for range 1 + r.IntN(4) {
		switch at := r.IntN(len(b)); r.IntN(4) {
		case 0:
			b[at] ^= byte(1 << r.IntN(8))
		case 1:
			b = b[:max(at, 1)]
		case 2:
			b = append(b, b[at:]...)
		default:
			b[at] = "{}[]\",:\x00\xff0"[r.IntN(10)]
		}
	}
	return b
}

// TestGarbageInPlaceOfARequest: 2,000 damaged certificate requests. None is granted unless it is whole, none spends the token.
func TestGarbageInPlaceOfARequest(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	_, text, _ := newCSR(t)
	der, _ := pem.Decode([]byte(text))
	taken := 0
	for range 2000 {
		body := mutated(r, der.Bytes)
		csr, err := parseCSR(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: body})))
		if err != nil {
			continue
		}
		if taken++; !bytes.Equal(csr.Raw, der.Bytes) {
			t.Errorf("taken: %x", body)
		}
	}
	t.Logf("%d of 2000 were whole", taken)
}

// FuzzCSR: what is taken has a signature that holds and a kind of key that is known.
func FuzzCSR(f *testing.F) {
	_, text, _ := newCSR(f)
	f.Add(text)
	f.Add("-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n")
	f.Fuzz(func(t *testing.T, s string) {
		if csr, err := parseCSR(s); err == nil && csr.CheckSignature() != nil {
			t.Fatal("taken without a signature")
		}
	})
}
