package courier

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"stepaway/uplink"
)

// TestServerIsChecked: whoever is not the site's collector gets not one byte of an event.
func TestServerIsChecked(t *testing.T) {
	noLeaks(t)
	w := newWorld(t)
	other := newCA(t, nil, nil)
	middle := newCA(t, w.ca, func(c *x509.Certificate) { c.Subject.CommonName = "middle" })
	shown := newCA(t, w.ca, func(c *x509.Certificate) { c.Subject.CommonName = "shown" })
	shown.more = [][]byte{shown.cert.Raw}
	noCA := newCA(t, w.ca, func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature })
	noCA.more = [][]byte{noCA.cert.Raw}
	twin := newCA(t, nil, nil) // the same name as the site's CA, another key
	leaf := func(change func(*x509.Certificate)) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{w.ca.issue(t, change)}}
	}
	of := func(ca *testCA) *tls.Config { return &tls.Config{Certificates: []tls.Certificate{ca.issue(t, nil)}} }
	version := func(v uint16) *tls.Config {
		c := leaf(nil)
		c.MinVersion, c.MaxVersion = v, v
		return c
	}
	asking := func(ca *testCA) *tls.Config {
		c := leaf(nil)
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, ca.pool()
		return c
	}
	odd := newCA(t, w.ca, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	odd.more = [][]byte{odd.cert.Raw}
	deep := newCA(t, w.ca, func(c *x509.Certificate) { c.MaxPathLenZero = true })
	deeper := newCA(t, deep, nil)
	deeper.more = [][]byte{deeper.cert.Raw, deep.cert.Raw}
	narrow := newCA(t, w.ca, func(c *x509.Certificate) {
		c.PermittedIPRanges, c.PermittedDNSDomainsCritical = []*net.IPNet{{IP: net.IPv4(10, 0, 0, 0), Mask: net.CIDRMask(8, 32)}}, true
	})
	narrow.more = [][]byte{narrow.cert.Raw}
	signOnly := newCA(t, w.ca, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature })
	signOnly.more = [][]byte{signOnly.cert.Raw}
	forClients := newCA(t, w.ca, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	forClients.more = [][]byte{forClients.cert.Raw}
	speaking := func(protocols ...string) *tls.Config {
		c := leaf(nil)
		c.NextProtos = protocols
		return c
	}
	stolen := leaf(nil) // the certificate without its key
	stolen.Certificates[0].PrivateKey = newKey(t)
	selfKey := newKey(t)
	selfTmpl := *w.ca.issue(t, nil).Leaf
	selfTmpl.PublicKey = &selfKey.PublicKey
	self := sign(t, &selfTmpl, &selfTmpl, selfKey, selfKey)
	cases := map[string]struct {
		config *tls.Config
		ok     bool
	}{
		"good":                    {leaf(nil), true},
		"good, asks for ours":     {asking(w.ca), true},
		"good, shows its middle":  {of(shown), true},
		"expired":                 {leaf(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), false},
		"not valid yet":           {leaf(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }), false},
		"of another CA":           {of(other), false},
		"of a CA of the name":     {of(twin), false},
		"signed by itself":        {&tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{self.Raw}, PrivateKey: selfKey}}}, false},
		"of a middle not shown":   {of(middle), false},
		"signed by a leaf":        {of(noCA), false},
		"another address":         {leaf(func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 2)} }), false},
		"names only":              {leaf(func(c *x509.Certificate) { c.IPAddresses = nil }), false},
		"address as a name":       {leaf(func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"127.0.0.1"} }), false},
		"address in the subject":  {leaf(func(c *x509.Certificate) { c.IPAddresses, c.DNSNames, c.Subject.CommonName = nil, nil, "127.0.0.1" }), false},
		"star":                    {leaf(func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"*"} }), false},
		"a device's certificate":  {leaf(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), false},
		"TLS 1.2":                 {version(tls.VersionTLS12), false},
		"TLS 1.1":                 {version(tls.VersionTLS11), false},
		"TLS 1.0":                 {version(tls.VersionTLS10), false},
		"asks for another client": {asking(other), false},
		"of an expired middle":    {of(odd), false},
		"path too long":           {of(deeper), false},
		"outside of constraints":  {of(narrow), false},
		"a middle that may not":   {of(signOnly), false},
		"a middle for clients":    {of(forClients), false},
		"not its key":             {stolen, false},
		"something critical": {leaf(func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
		}), false},
		"for signing code":      {leaf(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} }), false},
		"HTTP/1.1":              {speaking("http/1.1"), false},
		"another protocol":      {speaking("imap"), false},
		"no certificate at all": {&tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errors.New("none") }}, false},
	}
	if len(cases) < 28 {
		t.Errorf("%d cases", len(cases))
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var reached atomic.Bool
			url := w.serve(t, c.config, func(rw http.ResponseWriter, r *http.Request) {
				reached.Store(reached.Load() || r.URL.Path == uplink.PathEvents)
				w.answerGood(rw, r)
			})
			ack, err := w.send(t, url, 30*time.Second)
			if c.ok && (err != nil || ack.Last != 13) {
				t.Fatalf("%+v, %v", ack, err)
			}
			if !c.ok && (err == nil || reached.Load()) {
				t.Fatalf("error %v, events shown: %v", err, reached.Load())
			}
		})
	}
}

// TestSystemRootsAreNotTrusted puts the wrong CA among the system's roots.
func TestSystemRootsAreNotTrusted(t *testing.T) {
	w, other := newWorld(t), newCA(t, nil, nil)
	roots := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: other.cert.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", roots)
	url := w.serve(t, &tls.Config{Certificates: []tls.Certificate{other.issue(t, nil)}}, w.answerGood)
	if _, err := w.send(t, url, 30*time.Second); err == nil {
		t.Error("a CA of the system was trusted")
	}
}

// TestEnvironmentNamesNoProxy: the name does not exist, so only a proxy could get anywhere.
func TestEnvironmentNamesNoProxy(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			asked.Store(true)
			c.Close()
		}
	}()
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"} {
		t.Setenv(name, "http://"+l.Addr().String())
	}
	w := newWorld(t)
	if _, err := w.send(t, "https://collector.invalid:8443", 20*time.Second); err == nil {
		t.Error("sent to nowhere")
	}
	l.Close()
	<-done
	if asked.Load() {
		t.Error("the proxy of the environment was asked")
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	noLeaks(t)
	w := newWorld(t)
	var reached atomic.Bool
	to := w.serve(t, nil, func(rw http.ResponseWriter, r *http.Request) { reached.Store(true); w.answerGood(rw, r) })
	for _, status := range []int{301, 302, 303, 307, 308} {
		url := w.serve(t, nil, func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, to+r.URL.Path, status)
		})
		_, err := w.send(t, url, 30*time.Second)
		if codeOf(err) != "redirect" || reached.Load() {
			t.Errorf("%d: %v, followed: %v", status, err, reached.Load())
		}
	}
}

// TestNoTLSAtAll: peers that speak something else, or nothing.
func TestNoTLSAtAll(t *testing.T) {
	noLeaks(t)
	w := newWorld(t)
	for name, peer := range map[string]func(net.Conn){
		"plain HTTP":   func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") },
		"garbage":      func(c net.Conn) { io.WriteString(c, strings.Repeat("\x16\x03\x03\xff\xff garbage", 1000)) },
		"closes":       func(net.Conn) {},
		"says nothing": func(c net.Conn) { io.Copy(io.Discard, c) },
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					peer(c)
					c.Close()
				}
			}()
			began := time.Now()
			_, err = w.send(t, "https://"+l.Addr().String(), time.Second)
			l.Close()
			<-done
			if err == nil || time.Since(began) > 20*time.Second {
				t.Errorf("%v after %v", err, time.Since(began))
			}
		})
	}
}

func TestURLsThatAreNotTaken(t *testing.T) {
	w := newWorld(t)
	for _, u := range []string{"", "http://c:1", "c:1", "https://", "https://u:p@c", "https://c/x", "https://c?x=1", "https://c#x", "ftp://c", "https://c:1:2", "%"} {
		if _, err := NewClient(w.id, ClientOptions{URL: u}); err == nil {
			t.Errorf("%q was taken", u)
		}
	}
}
