package courier

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"runtime"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/uplink"
)

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

// testCA issues whatever a case asks for.
type testCA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	more [][]byte // shown after the leaf
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newCA makes a CA, signed by parent if there is one.
func newCA(t testing.TB, parent *testCA, change func(*x509.Certificate)) *testCA {
	t.Helper()
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	if change != nil {
		change(tmpl)
	}
	ca := &testCA{key: newKey(t)}
	signer, key := tmpl, ca.key
	if parent != nil {
		signer, key = parent.cert, parent.key
	}
	ca.cert = sign(t, tmpl, signer, ca.key, key)
	return ca
}

func sign(t testing.TB, tmpl, parent *x509.Certificate, pub, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &pub.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// issue makes a leaf for 127.0.0.1 and localhost, changed as the case asks.
func (ca *testCA) issue(t testing.TB, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "ws-1"},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	if change != nil {
		change(tmpl)
	}
	key := newKey(t)
	leaf := sign(t, tmpl, ca.cert, key, ca.key)
	return tls.Certificate{Certificate: append([][]byte{leaf.Raw}, ca.more...), PrivateKey: key, Leaf: leaf}
}

// named makes it a certificate for a name alone.
func named(name string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{name} }
}

func (ca *testCA) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(ca.cert)
	return p
}

// fixed is one pair for ever.
type fixed struct{ pair tls.Certificate }

func (f fixed) current() (*tls.Certificate, error) { return &f.pair, nil }

// world is a site: its CA, its collector's acknowledgement key and a device.
type world struct {
	ca  *testCA
	ack ed25519.PrivateKey
	id  *Identity
}

func newWorld(t testing.TB) *world {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{ca: newCA(t, nil, nil), ack: key}
	w.id = &Identity{Device: "ws-1", AckKey: pub, Roots: w.ca.pool(), keys: fixed{w.ca.issue(t, nil)}}
	return w
}

// serve answers with h over TLS until the end of the test, and gives its URL.
func (w *world) serve(t *testing.T, config *tls.Config, h http.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if config == nil {
		config = &tls.Config{Certificates: []tls.Certificate{w.ca.issue(t, nil)}}
	}
	s := &http.Server{Handler: h, TLSConfig: config.Clone(), ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if len(config.NextProtos) > 0 { // ServeTLS would add HTTP/2
			s.Serve(tls.NewListener(l, config))
			return
		}
		s.ServeTLS(l, "", "")
	}()
	t.Cleanup(func() { s.Close(); <-done })
	return "https://" + l.Addr().String()
}

// records makes n chained events of ws-1 in an epoch.
func records(t testing.TB, first uint64, n int) []audit.Record {
	t.Helper()
	var rs []audit.Record
	prev := audit.Zero
	for i := range n {
		e := stampTest(audit.LockProved)
		e.Device, e.Epoch, e.Seq, e.Prev = "ws-1", "00000000000000aa", first+uint64(i), prev
		body, hash, err := audit.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		rs, prev = append(rs, audit.Record{Seq: e.Seq, Hash: hash, Body: body}), hash
	}
	return rs
}

func stampTest(typ audit.Type) audit.Event {
	s, _ := audit.SeverityOf(typ)
	return audit.Event{V: audit.Version, Type: typ, Wall: time.Now().UTC(), Severity: s, Outcome: audit.Success, Agent: "v1"}
}

func batchOf(rs []audit.Record) uplink.Batch {
	b := uplink.Batch{Device: "ws-1", Epoch: "00000000000000aa"}
	for _, r := range rs {
		b.Events = append(b.Events, json.RawMessage(r.Body))
	}
	return b
}

// send sends three events to url as the device of w.
func (w *world) send(t *testing.T, url string, timeout time.Duration) (uplink.Ack, error) {
	t.Helper()
	c, err := NewClient(w.id, ClientOptions{URL: url, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	rs := records(t, 11, 3)
	return c.Send(context.Background(), batchOf(rs), rs)
}

// good is the ack for what send sends.
func (w *world) good(b uplink.Batch) uplink.Ack {
	last := b.Events[len(b.Events)-1]
	e, _ := audit.Decode(last)
	return uplink.Ack{Device: b.Device, Epoch: b.Epoch, Last: e.Seq, Hash: audit.Hash(last)}.Sign(w.ack)
}

func (w *world) answerGood(rw http.ResponseWriter, r *http.Request) {
	var b uplink.Batch
	if err := uplink.Decode(r.Body, uplink.MaxBatch, &b); err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	json.NewEncoder(rw).Encode(w.good(b))
}
