package collector

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/uplink"
)

// site is a collector in this process, on a real port.
type site struct {
	dir   string
	a     *Authority
	store Store
	url   string
}

func newSite(t *testing.T) *site {
	t.Helper()
	before := runtime.NumGoroutine()
	dir := filepath.Join(t.TempDir(), "data")
	a, err := Init(dir, []string{"collector.test"}, time.Now())
	must(t, err)
	store, err := OpenSQLite(dir)
	must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- NewServer(a, store, slog.New(slog.DiscardHandler)).Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
		must(t, store.Close())
		for end := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > before && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond)
		}
		if n := runtime.NumGoroutine(); n > before && !t.Failed() {
			t.Errorf("%d goroutines before, %d after", before, n)
		}
	})
	return &site{dir: dir, a: a, store: store, url: "https://" + l.Addr().String()}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newCSR(t testing.TB) (*x509.CertificateRequest, string, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "root"}}, key)
	must(t, err)
	csr, err := x509.ParseCertificateRequest(der)
	must(t, err)
	return csr, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), key
}

// device makes a client with a certificate issued as of some instant, or without one for "".
func (s *site) device(t testing.TB, name audit.Label, at time.Time) *http.Client {
	t.Helper()
	var certs []tls.Certificate
	if name != "" {
		csr, _, key := newCSR(t)
		der, err := s.a.Issue(name, csr, at)
		must(t, err)
		certs = append(certs, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key})
	}
	return s.client(t, &tls.Config{Certificates: certs})
}

func (s *site) client(t testing.TB, config *tls.Config) *http.Client {
	config.RootCAs = x509.NewCertPool()
	config.RootCAs.AddCert(s.a.CA)
	tr := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 60 * time.Second}
}

// post answers the status and body, or an error where no answer came.
func (s *site) post(c *http.Client, path string, body []byte) (int, []byte, error) {
	resp, err := c.Post(s.url+path, "application/json", bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// chain is a device's own view of one epoch.
type chain struct {
	device audit.Label
	epoch  string
	bodies []json.RawMessage
	hashes []string
}

func (c *chain) grow(t testing.TB, n int) {
	t.Helper()
	for range n {
		prev := audit.Zero
		if len(c.hashes) > 0 {
			prev = c.hashes[len(c.hashes)-1]
		}
		e := audit.Event{V: audit.Version, Type: audit.LockProved, Severity: audit.Info, Outcome: audit.Success, Agent: "v1",
			Wall: time.Now().UTC(), BootMS: time.Now().UnixNano(), Device: c.device, Epoch: c.epoch,
			Seq: uint64(len(c.bodies) + 1), Prev: prev}
		body, hash, err := audit.Encode(e)
		must(t, err)
		c.bodies, c.hashes = append(c.bodies, body), append(c.hashes, hash)
	}
}

// fork is a history that parts after n events.
func (c *chain) fork(n int) *chain {
	return &chain{c.device, c.epoch, append([]json.RawMessage(nil), c.bodies[:n]...), append([]string(nil), c.hashes[:n]...)}
}

// send sends the numbers from to to and answers the ack.
func (s *site) send(t testing.TB, client *http.Client, c *chain, from, to int, acked *uplink.Ack) uplink.Ack {
	t.Helper()
	body, err := json.Marshal(uplink.Batch{Device: c.device, Epoch: c.epoch, Acked: acked, Events: c.bodies[from-1 : to]})
	must(t, err)
	status, answer, err := s.post(client, uplink.PathEvents, body)
	must(t, err)
	if status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	var ack uplink.Ack
	must(t, uplink.Decode(bytes.NewReader(answer), uplink.MaxAnswer, &ack))
	if !ack.Verify(s.a.AckKey.Public().(ed25519.PublicKey)) || ack.Device != c.device || ack.Epoch != c.epoch {
		t.Fatalf("ack %+v", ack)
	}
	return ack
}

func (c *chain) held(n int) string {
	if n == 0 {
		return audit.Zero
	}
	return c.hashes[n-1]
}

// sql changes the store behind the collector's back.
func (s *site) sql(t testing.TB, statement string, args ...any) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(s.dir, storeFile)+"?_pragma=busy_timeout(10000)")
	must(t, err)
	defer db.Close()
	r, err := db.Exec(statement, args...)
	must(t, err)
	if n, _ := r.RowsAffected(); n == 0 {
		t.Fatalf("%s changed nothing", statement)
	}
}
