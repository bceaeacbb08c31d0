package collector

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/uplink"
)

// another is one more collector on the site's store, with a store of its own, changed as the test wants.
func (s *site) another(t *testing.T, change func(*Server)) *site {
	t.Helper()
	more := *s
	more.store = s.open(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	more.url = "https://" + l.Addr().String()
	server := NewServer(s.a, more.store, slog.New(slog.DiscardHandler))
	if change != nil {
		change(server)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
		must(t, more.store.Close())
	})
	return &more
}

// enrolled makes a device as enrolment does, over the wire.
func (s *site) enrolled(t testing.TB, name audit.Label) *http.Client {
	t.Helper()
	tok, err := NewToken(context.Background(), s.a, s.store, name, "", time.Hour, time.Now())
	must(t, err)
	status, client := s.enroll(t, tok.Secret)
	if status != 200 {
		t.Fatalf("enroll %s: %d", name, status)
	}
	return client
}

func (s *site) enroll(t testing.TB, secret string) (int, *http.Client) {
	t.Helper()
	_, csr, key := newCSR(t)
	status, g := s.granted(t, s.device(t, "", time.Now()), uplink.PathEnroll, uplink.Enroll{Secret: secret, CSR: csr})
	if status != 200 {
		return status, nil
	}
	der, _ := pem.Decode([]byte(g.Cert))
	return status, s.client(t, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der.Bytes}, PrivateKey: key}}})
}

func (s *site) granted(t testing.TB, c *http.Client, path string, ask any) (int, uplink.Granted) {
	t.Helper()
	body, err := json.Marshal(ask)
	must(t, err)
	status, answer, err := s.post(c, path, body)
	must(t, err)
	var g uplink.Granted
	if status == 200 {
		must(t, uplink.Decode(bytes.NewReader(answer), uplink.MaxAnswer, &g))
	}
	return status, g
}

// renewed answers the status, and a client with the new certificate.
func (s *site) renewed(t testing.TB, c *http.Client) (int, *http.Client) {
	t.Helper()
	_, csr, key := newCSR(t)
	status, g := s.granted(t, c, uplink.PathRenew, uplink.Renew{CSR: csr})
	if status != 200 {
		return status, nil
	}
	der, _ := pem.Decode([]byte(g.Cert))
	return status, s.client(t, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der.Bytes}, PrivateKey: key}}})
}

// health is status and code of a probe.
func (s *site) health(t testing.TB, c *http.Client) string {
	t.Helper()
	resp, err := c.Get(s.url + uplink.PathHealth)
	must(t, err)
	defer resp.Body.Close()
	var no uplink.Refusal
	_ = uplink.Decode(resp.Body, uplink.MaxAnswer, &no)
	return fmt.Sprint(resp.StatusCode, no.Code)
}

// TestRevocation: at once, on open connections too, at every collector of the store, and for good.
func TestRevocation(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		ctx := context.Background()
		two := s.another(t, nil)
		old := s.enrolled(t, "ws-1")
		bystander := s.enrolled(t, "ws-2")
		status, ws := s.renewed(t, old)
		if status != 200 {
			t.Fatal(status)
		}
		for _, c := range []*http.Client{ws, old, bystander} {
			if a, b := s.health(t, c), two.health(t, c); a != "204" || b != "204" {
				t.Fatalf("before: %s, %s", a, b)
			}
		}
		spare, err := NewToken(ctx, s.a, s.store, "ws-1", "", time.Hour, time.Now())
		must(t, err)
		n, err := two.store.Revoke(ctx, "ws-1", time.Now())
		if err != nil || n != 2 {
			t.Fatalf("%d certificates, %v", n, err)
		}
		for _, c := range []*http.Client{ws, old} {
			if a, b := s.health(t, c), two.health(t, c); a != "403revoked" || b != "403revoked" {
				t.Errorf("after: %s, %s", a, b)
			}
			if status, _ := s.renewed(t, c); status != 403 {
				t.Errorf("renewed: %d", status)
			}
		}
		if status, _ := s.enroll(t, spare.Secret); status != 403 {
			t.Errorf("a token from before: %d", status)
		}
		if got := s.health(t, bystander); got != "204" {
			t.Errorf("another device: %s", got)
		}
		again := s.enrolled(t, "ws-1")
		if a, b := s.health(t, again), s.health(t, ws); a != "204" || b != "403revoked" {
			t.Errorf("enrolled again: %s, and the old one: %s", a, b)
		}
		if _, err := s.store.Revoke(ctx, "ws-9", time.Now()); !errors.Is(err, ErrDevice) {
			t.Errorf("unknown: %v", err)
		}
	})
}

// TestRevocationOfWhatIsNotKnown: a certificate that was never seen, such as one of the site's own PKI.
func TestRevocationOfWhatIsNotKnown(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		ctx := context.Background()
		seen, unseen := s.device(t, "ws-1", time.Now()), s.device(t, "ws-1", time.Now())
		if got := s.health(t, seen); got != "204" {
			t.Fatal(got)
		}
		_, err := s.store.Revoke(ctx, "ws-1", time.Now())
		must(t, err)
		if a, b := s.health(t, seen), s.health(t, unseen); a != "403revoked" || b != "403revoked" {
			t.Errorf("%s, %s", a, b)
		}
		must(t, s.store.Readmit(ctx, "ws-1"))
		if a, b, c := s.health(t, seen), s.health(t, unseen), s.health(t, s.device(t, "ws-1", time.Now())); a != "403revoked" || b != "403revoked" || c != "204" {
			t.Errorf("readmitted: %s, %s; a new one: %s", a, b, c)
		}
		if err := s.store.Readmit(ctx, "ws-1"); !errors.Is(err, ErrDevice) {
			t.Errorf("twice: %v", err)
		}
	})
}

// TestNothingEscapesARevocation: devices renew while they are revoked. Afterwards none of them has a certificate that is good.
func TestNothingEscapesARevocation(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		for i := range 10 {
			name := audit.Label(fmt.Sprintf("ws-%d", i))
			all := []*http.Client{s.enrolled(t, name)}
			var mu sync.Mutex
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() {
					for range 3 {
						status, c := s.renewed(t, all[0])
						if status != 200 {
							return
						}
						mu.Lock()
						all = append(all, c)
						mu.Unlock()
					}
				})
			}
			wg.Go(func() {
				if _, err := s.store.Revoke(context.Background(), name, time.Now()); err != nil {
					t.Error(err)
				}
			})
			wg.Wait()
			for n, c := range all {
				if got := s.health(t, c); got != "403revoked" {
					t.Fatalf("%s: certificate %d of %d: %s", name, n, len(all), got)
				}
			}
		}
	})
}

// TestLapsed: what a certificate that has ended is still good for.
func TestLapsed(t *testing.T) {
	s := newSite(t)
	ws := s.enrolled(t, "ws-1")
	for _, x := range []struct {
		after  time.Duration
		health string
		renew  int
	}{
		{0, "204", 200}, {deviceLife - time.Hour, "204", 200}, {deviceLife + time.Hour, "403lapsed", 200},
		{2*deviceLife - time.Hour, "403lapsed", 200}, {2*deviceLife + time.Hour, "403expired", 403}, {-time.Hour, "403expired", 403},
	} {
		later := s.another(t, func(v *Server) { v.Now = func() time.Time { return time.Now().Add(x.after) } })
		if got := later.health(t, ws); got != x.health {
			t.Errorf("after %v: health %s, want %s", x.after, got, x.health)
		}
		status, next := later.renewed(t, ws)
		if status != x.renew {
			t.Errorf("after %v: renewal %d, want %d", x.after, status, x.renew)
		}
		if next == nil {
			continue
		}
		if got := later.health(t, next); got != "204" {
			t.Errorf("after %v: with the new one %s", x.after, got)
		}
	}
}

// TestACertificateEndsOnAnOpenConnection: the handshake was long ago, and does not count.
func TestACertificateEndsOnAnOpenConnection(t *testing.T) {
	s := newSite(t)
	ws := s.enrolled(t, "ws-1")
	var ahead atomic.Int64
	one := s.another(t, func(v *Server) { v.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) } })
	if got := one.health(t, ws); got != "204" {
		t.Fatal(got)
	}
	ahead.Store(int64(deviceLife + time.Minute))
	if got := one.health(t, ws); got != "403lapsed" {
		t.Errorf("a month later: %s", got)
	}
}

// TestSightings: what was replaced and comes back is in two places.
func TestSightings(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		t0 := time.Now()
		for i, c := range []struct {
			see  string // certificate, epoch, boot, each a letter; "!" is a fork
			want string
		}{
			{"aaa aaa aaa", ""},
			{"aaa aab aab aac", ""}, // restarts
			{"aaa baa baa caa", ""}, // renewals
			{"aaa aba aca", ""},     // new epochs
			{"aaa bbb ccc", ""},     // enrolled again on a new machine
			{"aaa bbb aaa", "certificate epoch boot"},
			{"aaa aba aaa", "epoch"},
			{"aaa aab aaa", "boot"},
			{"aaa baa aaa", "certificate"},
			{"aaa aab aac aab", "boot"},
			{"aaa aaa!", "fork"},
			{"aaa a a aaa", ""},                               // probes show no epoch
			{"aaa bbb aaa bbb aaa", "certificate epoch boot"}, // told of once an hour
		} {
			device := audit.Label(fmt.Sprintf("ws-%d", i))
			var got []string
			for n, see := range bytes.Fields([]byte(c.see)) {
				at := Sighting{Device: device, At: t0.Add(time.Duration(n) * time.Minute), Peer: fmt.Sprintf("10.0.0.%d", n)}
				at.Certificate = string(see[:1])
				if len(see) > 1 {
					at.Epoch, at.Boot = string(see[1:2]), string(see[2:3])
				}
				at.Fork = len(see) > 3
				back, err := s.store.See(context.Background(), at)
				must(t, err)
				for _, b := range back {
					got = append(got, string(b.What))
					if b.What != "fork" && (b.Value != "a" && b.Value != "b" || b.After == b.Value || b.Peer == at.Peer) {
						t.Errorf("%s: %+v", c.see, b)
					}
				}
			}
			if want := bytes.Fields([]byte(c.want)); fmt.Sprint(got) != fmt.Sprint(strs(want)) {
				t.Errorf("%s: %v, want %s", c.see, got, c.want)
			}
		}
	})
}

func strs(bs [][]byte) (ss []string) {
	for _, b := range bs {
		ss = append(ss, string(b))
	}
	return ss
}

// TestALateRequestIsNoReturn: one that hung while its certificate was renewed.
func TestALateRequestIsNoReturn(t *testing.T) {
	s := newSite(t)
	t0 := time.Now()
	see := func(certificate string, at time.Duration) []Return {
		back, err := s.store.See(context.Background(), Sighting{Device: "ws-1", Certificate: certificate, At: t0.Add(at)})
		must(t, err)
		return back
	}
	see("a", 0)
	see("b", time.Minute)
	if back := see("a", 30*time.Second); len(back) != 0 {
		t.Errorf("%+v", back)
	}
	if back := see("a", 2*time.Minute); len(back) != 1 {
		t.Errorf("%+v", back)
	}
}

// own answers the collector's own events.
func (s *site) own(t testing.TB) (all []audit.Event) {
	t.Helper()
	must(t, s.store.View(context.Background(), func(v *View) error {
		return v.Walk(Filter{Device: Own}, func(k Kept) error {
			e, err := audit.Decode(k.Body)
			all = append(all, e)
			return err
		})
	}))
	return all
}

// TestStolenCertificate: two machines deliver as one device, to two collectors. It is in the collector's own chain, in
// the report and with the device.
func TestStolenCertificate(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		var ahead atomic.Int64
		now := func(v *Server) { v.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) } }
		one, two := s.another(t, now), s.another(t, now)
		ws := s.enrolled(t, "ws-1")
		mine, thief := newChain(t, "ws-1", "00000000000000aa", 20), newChain(t, "ws-1", "00000000000000bb", 20)
		for n := 1; n < 20; n += 5 {
			one.send(t, ws, mine, n, n+4, nil)
			ahead.Add(int64(lookAgain + time.Second))
			two.send(t, ws, thief, n, n+4, nil)
			ahead.Add(int64(lookAgain + time.Second))
		}
		var shared []audit.Event
		for _, e := range s.own(t) {
			if e.Type == audit.IdentityShared {
				shared = append(shared, e)
			}
		}
		if len(shared) != 1 || shared[0].Facts.Key != "ws-1" || shared[0].Facts.Code != "epoch" || shared[0].Severity != audit.Alert ||
			shared[0].Facts.Ref != "00000000000000aa" || shared[0].Facts.Old != "00000000000000bb" || shared[0].Facts.Source != "127.0.0.1" {
			t.Errorf("%+v", shared)
		}
		all, err := Report(context.Background(), s.store, time.Time{})
		must(t, err)
		if i := slices.IndexFunc(all, func(x Summary) bool { return x.Device == "ws-1" }); i < 0 || all[i].Shared != 1 {
			t.Errorf("%+v", all)
		}
		must(t, s.store.View(context.Background(), func(v *View) error {
			ids, err := v.Identities(time.Now())
			if ids["ws-1"].Shared.IsZero() || len(ids["ws-1"].Certificates) != 1 || !ids["ws-1"].Revoked.IsZero() {
				t.Errorf("%+v", ids)
			}
			return err
		}))
		s.verified(t)
	})
}

// TestOwnEventsAreOneChain: written by two collectors at once.
func TestOwnEventsAreOneChain(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		two := s.open(t)
		defer two.Close()
		var wg sync.WaitGroup
		for i := range 40 {
			store := []*Store{s.store, two}[i%2]
			wg.Go(func() {
				if err := store.Record(context.Background(), audit.CertificateRevoked, audit.Facts{Key: "ws-1"}, time.Now()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if v := s.verified(t); v.Events != 40 || len(s.own(t)) != 40 {
			t.Errorf("%d events", v.Events)
		}
	})
}
