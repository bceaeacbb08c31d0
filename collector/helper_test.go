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
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"stepaway/audit"
	pg "stepaway/test/postgres"
	"stepaway/uplink"
)

// engines are the databases that every test of the store runs on.
var engines = []string{"sqlite", "postgres"}

// onEach runs a test on each engine.
func onEach(t *testing.T, f func(t *testing.T, s *site)) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) { f(t, newSiteOn(t, engine)) })
	}
}

func TestMain(m *testing.M) {
	code := m.Run()
	pg.EndShared()
	os.Exit(code)
}

// site is a collector in this process, on a real port.
type site struct {
	engine, address, database string // of the store
	dir                       string
	a                         *Authority
	store                     *Store
	url                       string
}

func newSite(t *testing.T) *site { return newSiteOn(t, "sqlite") }

func newSiteOn(t *testing.T, engine string) *site {
	t.Helper()
	s := &site{engine: engine, dir: filepath.Join(t.TempDir(), "data")}
	if engine == "postgres" {
		s.address, s.database = pg.Fresh(t)
	}
	before := runtime.NumGoroutine()
	var err error
	s.a, err = Init(s.dir, []string{"collector.test"}, time.Now())
	must(t, err)
	s.store = s.open(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s.url = "https://" + l.Addr().String()
	t.Cleanup(func() {
		must(t, s.store.Close())
		for end := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > before && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond)
		}
		if n := runtime.NumGoroutine(); n > before && !t.Failed() {
			t.Errorf("%d goroutines before, %d after", before, n)
		}
	})
	s.serve(t, l)
	return s
}

// serve answers on l until the end of the test.
func (s *site) serve(t *testing.T, l net.Listener) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- NewServer(s.a, s.store, slog.New(slog.DiscardHandler)).Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
}

// open opens the site's store, perhaps once more.
func (s *site) open(t testing.TB) *Store {
	t.Helper()
	store, err := Open(context.Background(), s.dir, s.address)
	must(t, err)
	return store
}

// key is what the collector's words are checked with.
func (s *site) key() ed25519.PublicKey { return s.a.AckKey.Public().(ed25519.PublicKey) }

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
	driver, name := "sqlite", filepath.Join(s.dir, storeFile)+"?_pragma=busy_timeout(10000)"
	if s.engine == "postgres" {
		driver, name, statement = "pgx", s.address, strings.ReplaceAll(statement, "?", "$")
	}
	db, err := sql.Open(driver, name)
	must(t, err)
	defer db.Close()
	r, err := db.Exec(statement, args...)
	must(t, err)
	if n, _ := r.RowsAffected(); n == 0 {
		t.Fatalf("%s changed nothing", statement)
	}
}

// walk is View.Walk by itself.
func (s *site) walk(filter Filter, f func(Kept) error) error {
	return s.store.View(context.Background(), func(v *View) error { return v.Walk(filter, f) })
}
