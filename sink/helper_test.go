package sink

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/sink/encode"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// noLeaks fails the test if goroutines are left at its end.
func noLeaks(t *testing.T) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for end := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > before && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond)
		}
		if n := runtime.NumGoroutine(); n > before && !t.Failed() {
			b := make([]byte, 1<<20)
			t.Errorf("%d goroutines before, %d after:\n%s", before, n, b[:runtime.Stack(b, true)])
		}
	})
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// site has a CA, and certificates in files as an administrator puts them there.
type site struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir()}
	s.key = newKey(t)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "site CA"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &s.key.PublicKey, s.key)
	check(t, err)
	s.cert, err = x509.ParseCertificate(der)
	check(t, err)
	s.write("ca.pem", "CERTIFICATE", der)
	s.issue("server", nil)
	s.issue("ws-1", nil)
	return s
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	return key
}

func (s *site) write(name, kind string, der []byte) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	check(s.t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return path
}

// issue makes NAME.pem and NAME.key, for localhost and 127.0.0.1 unless changed.
func (s *site) issue(name string, change func(*x509.Certificate)) tls.Certificate {
	s.t.Helper()
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		DNSNames: []string{"localhost", name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	if change != nil {
		change(tmpl)
	}
	key := newKey(s.t)
	der, err := x509.CreateCertificate(rand.Reader, tmpl, s.cert, &key.PublicKey, s.key)
	check(s.t, err)
	pkcs, err := x509.MarshalPKCS8PrivateKey(key)
	check(s.t, err)
	pair, err := tls.LoadX509KeyPair(s.write(name+".pem", "CERTIFICATE", der), s.write(name+".key", "PRIVATE KEY", pkcs))
	check(s.t, err)
	return pair
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

func (s *site) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(s.cert)
	return p
}

// spec is a sink of this site, read from a file as the programs do. More are lines of it.
func (s *site) spec(kind Kind, url string, more ...string) Spec {
	s.t.Helper()
	text := fmt.Sprintf("sinks:\n- name: test\n  kind: %s\n  url: %s\n  ca: %s\n", kind, url, s.path("ca.pem"))
	for _, line := range more {
		text += "  " + line + "\n"
	}
	specs, err := Check("sinks.yaml", []byte(text))
	if err != nil {
		s.t.Fatalf("%v\n%s", err, text)
	}
	return specs[0]
}

func (s *site) withCert() []string {
	return []string{"cert: " + s.path("ws-1.pem"), "key: " + s.path("ws-1.key")}
}

func (s *site) open(spec Spec) Sink {
	s.t.Helper()
	to, err := Open(spec)
	check(s.t, err)
	s.t.Cleanup(to.Close)
	return to
}

// serve answers with h over TLS until the end of the test, and gives its URL.
func (s *site) serve(config *tls.Config, h http.HandlerFunc) string {
	s.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(s.t, err)
	if config == nil {
		pair, err := tls.LoadX509KeyPair(s.path("server.pem"), s.path("server.key"))
		check(s.t, err)
		config = &tls.Config{Certificates: []tls.Certificate{pair}}
	}
	server := &http.Server{Handler: h, TLSConfig: config, ErrorLog: log.New(io.Discard, "", 0)}
	if config.CipherSuites != nil {
		server.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){} // HTTP/2 insists on a suite
	}
	done := make(chan struct{})
	go func() { defer close(done); server.ServeTLS(l, "", "") }()
	s.t.Cleanup(func() { server.Close(); <-done })
	return "https://" + l.Addr().String()
}

// anEvent makes the n-th event of ws-1 in an epoch, of changing types.
func anEvent(n int) encode.Entry {
	types := audit.Types()
	typ := types[n%len(types)]
	severity, _ := audit.SeverityOf(typ)
	e := audit.Event{V: audit.Version, Type: typ, Device: "ws-1", Site: "North", Epoch: "00000000000000aa", Seq: uint64(n), Run: "0000abcd",
		N: uint64(n), Wall: time.Date(2026, 11, 22, 9, 0, n%60, n, time.UTC), BootMS: int64(n), Synced: true, Agent: "v1", Severity: severity,
		Outcome: audit.Success, Reason: audit.Idle, Prev: audit.Zero,
		Session: &audit.Session{ID: "2", Kind: "x11", UID: 1000, User: audit.MakeLabel(fmt.Sprintf("user %d", n))},
		Facts:   &audit.Facts{IdleMS: audit.MS(time.Minute), Proof: "locker", Count: int64(n)}}
	_, hash, _ := audit.Encode(e)
	return encode.Entry{Event: e, Hash: hash}
}

func entriesTo(n int) (es []encode.Entry) {
	for i := range n {
		es = append(es, anEvent(i+1))
	}
	return es
}

// memory is a source with a position.
type memory struct {
	mu  sync.Mutex
	rs  []audit.Record
	at  int
	got int // calls of Got
}

func (m *memory) add(es ...encode.Entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range es {
		body, hash, err := audit.Encode(e.Event)
		if err != nil {
			panic(err)
		}
		m.rs = append(m.rs, audit.Record{Seq: e.Seq, Hash: hash, Body: body})
	}
}

func (m *memory) Next(_ context.Context, most int) ([]audit.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rs[m.at:min(len(m.rs), m.at+most)], nil
}

func (m *memory) Got(_ context.Context, rs []audit.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if rs[0].Seq != m.rs[m.at].Seq {
		return errors.New("not what was answered last")
	}
	m.at += len(rs)
	m.got++
	return nil
}

func (m *memory) done() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.at == len(m.rs)
}

// text is a log that a test can read while it is written.
type text struct {
	mu sync.Mutex
	b  strings.Builder
}

func (t *text) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(b)
}

func (t *text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

// run runs a loop until the end of the test, with short waits.
func run(t *testing.T, source Source, to Sink, spec Spec) (*Loop, *text) {
	t.Helper()
	said := &text{}
	l := NewLoop(source, to, Options{Spec: spec, Log: slog.New(slog.NewTextHandler(said, nil)),
		RetryMin: 20 * time.Millisecond, RetryMax: 200 * time.Millisecond, Poll: 50 * time.Millisecond})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); l.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return l, said
}

// framesOf is what a syslog sink writes.
func framesOf(es []encode.Entry) []byte {
	var b bytes.Buffer
	for _, e := range es {
		encode.Frame(&b, encode.Syslog{}.Message(e))
	}
	return b.Bytes()
}
