package collector

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/uplink"
)

func TestEventsAreHeldOnceAndAcknowledged(t *testing.T) {
	onEach(t, checkEventsAreHeldOnceAndAcknowledged)
}

func checkEventsAreHeldOnceAndAcknowledged(t *testing.T, s *site) {
	ws := s.device(t, "ws-1", time.Now())
	c := &chain{device: "ws-1", epoch: "00000000000000aa"}
	c.grow(t, 20)
	for i, step := range []struct{ from, to, held int }{{1, 5, 5}, {1, 5, 5}, {4, 8, 8}, {10, 12, 8}, {9, 9, 9}, {10, 20, 20}, {1, 20, 20}, {3, 4, 20}} {
		ack := s.send(t, ws, c, step.from, step.to, nil)
		if ack.Last != uint64(step.held) || ack.Hash != c.held(step.held) {
			t.Errorf("step %d: ack %+v, want %d", i, ack, step.held)
		}
	}
	n := 0
	must(t, s.walk(Filter{}, func(k Kept) error {
		if n++; k.Seq != uint64(n) || string(k.Body) != string(c.bodies[n-1]) || k.Received.IsZero() {
			t.Errorf("event %d: %+v", n, k)
		}
		return nil
	}))
	v, err := Verify(context.Background(), s.store, s.key())
	if err != nil || n != 20 || len(v.Findings) != 0 || v.Epochs[0].From != 1 || v.Epochs[0].To != 20 {
		t.Errorf("%d events, %+v, %v", n, v, err)
	}
}

func TestForkIsKeptAsideAndNotAcknowledged(t *testing.T) {
	onEach(t, checkForkIsKeptAsideAndNotAcknowledged)
}

func checkForkIsKeptAsideAndNotAcknowledged(t *testing.T, s *site) {
	ws := s.device(t, "ws-1", time.Now())
	c := &chain{device: "ws-1", epoch: "00000000000000aa"}
	c.grow(t, 10)
	s.send(t, ws, c, 1, 10, nil)
	f := c.fork(6)
	f.grow(t, 8)
	for range 2 {
		if ack := s.send(t, ws, f, 5, 14, nil); ack.Last != 10 || ack.Hash != c.held(10) {
			t.Errorf("ack %+v: want what is held", ack)
		}
	}
	if ack := s.send(t, ws, f, 11, 14, nil); ack.Last != 10 {
		t.Errorf("ack %+v for what does not continue", ack)
	}
	v, err := Verify(context.Background(), s.store, s.key())
	must(t, err)
	forks := map[uint64]bool{}
	for _, x := range v.Findings {
		if x.Code != "fork" {
			t.Errorf("%+v", x)
		}
		forks[x.From] = true
	}
	if len(forks) != 8 || !forks[7] || !forks[14] || v.Events != 11 { // one is the collector's own, about the fork
		t.Errorf("forks %v, %d events", forks, v.Events)
	}
	c.grow(t, 1)
	if ack := s.send(t, ws, c, 11, 11, nil); ack.Last != 11 {
		t.Errorf("the history that is held does not go on: %+v", ack)
	}
}

// TestHole: only the collector's own signature carries an epoch over what the store has lost.
func TestHole(t *testing.T) { onEach(t, checkHole) }

func checkHole(t *testing.T, s *site) {
	ws := s.device(t, "ws-1", time.Now())
	c := &chain{device: "ws-1", epoch: "00000000000000aa"}
	c.grow(t, 30)
	proof := s.send(t, ws, c, 1, 20, nil)
	s.sql(t, "DELETE FROM events WHERE seq > 10")
	s.sql(t, "UPDATE epochs SET last = 10, hash = ?1", c.held(10))
	forged := proof
	forged.Last = 19
	other := proof
	other.Epoch = "00000000000000bb"
	for name, acked := range map[string]*uplink.Ack{"none": nil, "forged": &forged, "of another epoch": &other} {
		if ack := s.send(t, ws, c, 21, 25, acked); ack.Last != 10 {
			t.Errorf("%s: ack %+v beyond the hole", name, ack)
		}
	}
	if ack := s.send(t, ws, c, 21, 25, &proof); ack.Last != 25 {
		t.Errorf("ack %+v, want 25", ack)
	}
	v, err := Verify(context.Background(), s.store, s.key())
	must(t, err)
	if len(v.Findings) != 1 || v.Findings[0].Code != "lost" || v.Findings[0].From != 11 || v.Findings[0].To != 20 {
		t.Errorf("%+v", v.Findings)
	}
}

func TestBatchesThatAreRefused(t *testing.T) {
	s := newSite(t)
	ws := s.device(t, "ws-1", time.Now())
	c := &chain{device: "ws-1", epoch: "00000000000000aa"}
	c.grow(t, 600)
	d := &chain{device: "ws-2", epoch: c.epoch}
	d.grow(t, 1)
	e := &chain{device: "ws-1", epoch: "00000000000000bb"}
	e.grow(t, 1)
	batch := func(device audit.Label, epoch string, events ...json.RawMessage) []byte {
		b, err := json.Marshal(uplink.Batch{Device: device, Epoch: epoch, Events: events})
		must(t, err)
		return b
	}
	for name, x := range map[string]struct {
		body   []byte
		status int
	}{
		"empty":                  {nil, 400},
		"garbage":                {[]byte("\x00garbage"), 400},
		"no events":              {batch("ws-1", c.epoch), 400},
		"too many":               {batch("ws-1", c.epoch, c.bodies[:501]...), 400},
		"too large":              {append(batch("ws-1", c.epoch, c.bodies[0]), make([]byte, uplink.MaxBatch)...), 400},
		"batch of another":       {batch("ws-2", c.epoch, d.bodies...), 403},
		"event of another":       {batch("ws-1", c.epoch, d.bodies...), 400},
		"event of another epoch": {batch("ws-1", c.epoch, e.bodies...), 400},
		"a hole":                 {batch("ws-1", c.epoch, c.bodies[0], c.bodies[2]), 400},
		"backwards":              {batch("ws-1", c.epoch, c.bodies[1], c.bodies[0]), 400},
		"twice":                  {batch("ws-1", c.epoch, c.bodies[0], c.bodies[0]), 400},
		"not an event":           {batch("ws-1", c.epoch, json.RawMessage(`{"v":1}`)), 400},
		"unknown field":          {[]byte(`{"device":"ws-1","epoch":"00000000000000aa","events":[],"x":1}`), 400},
		"bytes after":            {append(batch("ws-1", c.epoch, c.bodies[0]), "{}"...), 400},
	} {
		status, answer, err := s.post(ws, uplink.PathEvents, x.body)
		if err != nil || status != x.status {
			t.Errorf("%s: %d %s %v, want %d", name, status, answer, err, x.status)
		}
	}
	v, err := Verify(context.Background(), s.store, s.key())
	if err != nil || v.Events != 0 || len(v.Findings) != 0 {
		t.Errorf("something was kept: %+v, %v", v, err)
	}
}

func TestWhoIsLetIn(t *testing.T) {
	s := newSite(t)
	stranger, err := Init(filepath.Join(t.TempDir(), "other"), nil, time.Now())
	must(t, err)
	other := &site{a: stranger}
	server, err := tls.LoadX509KeyPair(filepath.Join(s.dir, "server.pem"), filepath.Join(s.dir, "server.pem"))
	must(t, err)
	strangers := other.device(t, "ws-1", time.Now()).Transport.(*http.Transport).TLSClientConfig.Certificates
	old := &tls.Config{MaxVersion: tls.VersionTLS12, Certificates: s.device(t, "ws-1", time.Now()).Transport.(*http.Transport).TLSClientConfig.Certificates}
	for name, x := range map[string]struct {
		client *http.Client
		status int // 0: no answer at all
		code   string
	}{
		"a device":                 {s.device(t, "ws-1", time.Now()), 204, ""},
		"no certificate":           {s.device(t, "", time.Now()), 401, uplink.CodeDevice},
		"lapsed":                   {s.device(t, "ws-1", time.Now().Add(-deviceLife-time.Minute)), 403, uplink.CodeLapsed},
		"not valid yet":            {s.device(t, "ws-1", time.Now().Add(time.Hour)), 403, uplink.CodeExpired},
		"of another CA":            {s.client(t, &tls.Config{Certificates: strangers}), 0, ""},
		"the server's certificate": {s.client(t, &tls.Config{Certificates: []tls.Certificate{server}}), 0, ""},
		"TLS 1.2":                  {s.client(t, old), 0, ""},
		"a name that is none":      {s.device(t, "a b", time.Now()), 403, uplink.CodeDevice},
		"the collector's own name": {s.device(t, Own, time.Now()), 403, uplink.CodeDevice},
	} {
		resp, err := x.client.Get(s.url + uplink.PathHealth)
		switch {
		case err != nil && x.status != 0:
			t.Errorf("%s: %v", name, err)
		case err == nil:
			var no uplink.Refusal
			_ = uplink.Decode(resp.Body, uplink.MaxAnswer, &no)
			resp.Body.Close()
			if resp.StatusCode != x.status || no.Code != x.code {
				t.Errorf("%s: %d %s, want %d %s", name, resp.StatusCode, no.Code, x.status, x.code)
			}
		}
	}
	none := s.device(t, "", time.Now())
	for path, want := range map[string]int{uplink.PathEvents: 401, uplink.PathRenew: 401, uplink.PathEnroll: 400, "/": 404, "/v1/../v1/events": 404} {
		if status, _, err := s.post(none, path, []byte("{}")); err != nil || status != want {
			t.Errorf("%s: %d, %v", path, status, err)
		}
	}
}

func TestCertificateRequests(t *testing.T) {
	s := newSite(t)
	ctx := context.Background()
	none := s.device(t, "", time.Now())
	_, good, _ := newCSR(t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	small, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	must(t, err)
	request := func(key any) string {
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
		must(t, err)
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	}
	block, _ := pem.Decode([]byte(good))
	block.Bytes[len(block.Bytes)-1] ^= 1
	tok, err := NewToken(ctx, s.a, s.store, "ws-1", "", time.Hour, time.Now())
	must(t, err)
	ask := func(csr string) (int, uplink.Granted) {
		b, _ := json.Marshal(uplink.Enroll{Secret: tok.Secret, CSR: csr})
		status, answer, err := s.post(none, uplink.PathEnroll, b)
		must(t, err)
		var g uplink.Granted
		_ = json.Unmarshal(answer, &g)
		return status, g
	}
	for name, csr := range map[string]string{"none": "", "garbage": "-----BEGIN", "RSA": request(rsaKey), "P-224": request(small),
		"a bad signature": string(pem.EncodeToMemory(block)), "a certificate": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.a.CA.Raw})),
		"huge": strings.Repeat("x", uplink.MaxAsk)} {
		if status, _ := ask(csr); status != 400 {
			t.Errorf("%s: %d", name, status)
		}
	}
	status, g := ask(good)
	if status != 200 || g.Device != "ws-1" {
		t.Fatalf("the token was spent by a refused request: %d %+v", status, g)
	}
	der, _ := pem.Decode([]byte(g.Cert))
	cert, err := x509.ParseCertificate(der.Bytes)
	must(t, err)
	if cert.Subject.CommonName != "ws-1" || cert.IsCA || len(cert.ExtKeyUsage) != 1 || cert.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth {
		t.Errorf("certificate of %+v", cert.Subject)
	}
	if status, _ := ask(good); status != 403 {
		t.Errorf("used twice: %d", status)
	}
}

// TestTokenRace: of many who show a token at once, one gets in.
func TestTokenRace(t *testing.T) { onEach(t, checkTokenRace) }

func checkTokenRace(t *testing.T, s *site) {
	tok, err := NewToken(context.Background(), s.a, s.store, "ws-1", "", time.Hour, time.Now())
	must(t, err)
	var mu sync.Mutex
	counts := map[int]int{}
	var wg sync.WaitGroup
	for range 50 {
		_, csr, _ := newCSR(t)
		client := s.device(t, "", time.Now())
		wg.Go(func() {
			b, _ := json.Marshal(uplink.Enroll{Secret: tok.Secret, CSR: csr})
			status, _, err := s.post(client, uplink.PathEnroll, b)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			counts[status]++
		})
	}
	wg.Wait()
	if counts[200] != 1 || counts[403]+counts[503] != 49 {
		t.Error(counts)
	}
}

func TestManyDevicesAtOnce(t *testing.T) { onEach(t, checkManyDevicesAtOnce) }

func checkManyDevicesAtOnce(t *testing.T, s *site) {
	var wg sync.WaitGroup
	for i := range 12 {
		name := audit.Label(fmt.Sprintf("ws-%d", i))
		client := s.device(t, name, time.Now())
		c := &chain{device: name, epoch: "00000000000000aa"}
		c.grow(t, 100)
		wg.Go(func() {
			for n := 1; n < 100; n += 10 {
				if ack := s.send(t, client, c, n, n+9, nil); ack.Last != uint64(n+9) {
					t.Errorf("%s: %+v", name, ack)
				}
			}
		})
	}
	wg.Wait()
	v, err := Verify(context.Background(), s.store, s.key())
	if err != nil || v.Events != 1200 || len(v.Epochs) != 12 || len(v.Findings) != 0 {
		t.Errorf("%d events, %d epochs, %v, %v", v.Events, len(v.Epochs), v.Findings, err)
	}
}

func TestInitRefusesToOverwriteAndClosesItsFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	a, err := Init(dir, []string{"c.example", "10.1.2.3"}, time.Now())
	must(t, err)
	if _, err := Init(dir, nil, time.Now()); err == nil {
		t.Error("made over an old one")
	}
	b, err := Load(dir)
	if err != nil || b.Fingerprint() != a.Fingerprint() {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		if info, _ := e.Info(); info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v", e.Name(), info.Mode())
		}
	}
	if info, _ := os.Stat(dir); info.Mode().Perm() != 0o700 {
		t.Errorf("%v", info.Mode())
	}
	config, err := NewServer(b, nil, slog.New(slog.DiscardHandler)).tlsConfig()
	must(t, err)
	cert, err := config.GetCertificate(nil)
	must(t, err)
	for _, host := range []string{"localhost", "127.0.0.1", "::1", "c.example", "10.1.2.3"} {
		if err := cert.Leaf.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	if _, err := Load(t.TempDir()); err == nil || !strings.Contains(err.Error(), "init") {
		t.Errorf("nothing there: %v", err)
	}
}

func TestServerCertificateRenewsItself(t *testing.T) {
	a, err := Init(filepath.Join(t.TempDir(), "data"), []string{"c.example"}, time.Now())
	must(t, err)
	s := &serverCert{a: a}
	first, err := s.get(time.Now())
	must(t, err)
	same, err := s.get(time.Now().Add(serverLife / 2))
	must(t, err)
	later := time.Now().Add(serverLife * 3 / 4)
	next, err := s.get(later)
	must(t, err)
	if same.Leaf.SerialNumber.Cmp(first.Leaf.SerialNumber) != 0 || next.Leaf.SerialNumber.Cmp(first.Leaf.SerialNumber) == 0 {
		t.Error("renewed too early or not at all")
	}
	if err := next.Leaf.VerifyHostname("c.example"); err != nil || !next.Leaf.NotAfter.After(later.Add(serverLife/2)) {
		t.Error(err, next.Leaf.NotAfter)
	}
}
