package sink

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"strings"

	"stepaway/trusted"
)

// Largest files that a sink names, in bytes.
const (
	maxPEM     = 1 << 20
	maxHeaders = 16 << 10
)

// checkFiles reads every file that the sink names and answers what is wrong with them.
func (s Spec) checkFiles() (ps Problems) {
	wrong := func(key string, err error) {
		if err != nil {
			p := s.places[key]
			p.Sink, p.Key, p.Text = s.Name, key, err.Error()
			ps = append(ps, p)
		}
	}
	_, err := s.roots()
	wrong("ca", err)
	_, err = s.pair()
	wrong("cert", err)
	_, err = s.headers()
	wrong("headers", err)
	return ps
}

// tlsConfig is that of both kinds of connection. The own certificate is read anew for each, so that a renewed one is used.
func (s Spec) tlsConfig() (*tls.Config, error) {
	roots, err := s.roots()
	if err != nil {
		return nil, err
	}
	if _, err := s.pair(); err != nil {
		return nil, err
	}
	c := &tls.Config{RootCAs: roots, ServerName: s.URL.Hostname(), MinVersion: tls.VersionTLS12, CipherSuites: forwardSecret()}
	if s.ServerName != "" {
		c.ServerName = s.ServerName
	}
	if s.TLS == "1.3" {
		c.MinVersion = tls.VersionTLS13
	}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return s.pair() }
	return c, nil
}

// forwardSecret are the suites of TLS 1.2 that are taken: ephemeral keys and authenticated encryption.
func forwardSecret() (ids []uint16) {
	for _, suite := range tls.CipherSuites() {
		if strings.HasPrefix(suite.Name, "TLS_ECDHE_") && (strings.Contains(suite.Name, "GCM") || strings.Contains(suite.Name, "POLY1305")) {
			ids = append(ids, suite.ID)
		}
	}
	return ids
}

// roots is nil for the system's own.
func (s Spec) roots() (*x509.CertPool, error) {
	if s.CA == System {
		return nil, nil
	}
	body, err := trusted.Read(s.CA, owner(), maxPEM)
	if err != nil {
		return nil, fmt.Errorf("read the CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(body) {
		return nil, fmt.Errorf("read the CA: no certificate in %s", s.CA)
	}
	return pool, nil
}

// pair is empty when the site gives none.
func (s Spec) pair() (*tls.Certificate, error) {
	if s.Cert == "" {
		return &tls.Certificate{}, nil
	}
	cert, err := trusted.Read(s.Cert, owner(), maxPEM)
	if err != nil {
		return nil, fmt.Errorf("read the certificate: %w", err)
	}
	key, err := trusted.Secret(s.Key, owner(), maxPEM)
	if err != nil {
		return nil, fmt.Errorf("read the key: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", s.Cert, err)
	}
	return &pair, nil
}

// headers reads the lines NAME: VALUE of the headers file. No error holds any of it.
func (s Spec) headers() (http.Header, error) {
	h := http.Header{}
	if s.Headers == "" {
		return h, nil
	}
	body, err := trusted.Secret(s.Headers, owner(), maxHeaders)
	if err != nil {
		return nil, fmt.Errorf("read the headers: %w", err)
	}
	for i, line := range strings.Split(string(body), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if value = strings.TrimSpace(value); !ok || !headerName(name) || !headerValue(value) {
			return nil, fmt.Errorf("read the headers: %s line %d: want NAME: VALUE", s.Headers, i+1)
		}
		if ours(name) {
			return nil, fmt.Errorf("read the headers: %s line %d: this header is set by Stepaway", s.Headers, i+1)
		}
		h.Add(name, value)
	}
	if len(h) == 0 {
		return nil, errors.New("read the headers: " + s.Headers + " holds none")
	}
	return h, nil
}

// ours reports whether a header is one that says how the body is written or where it ends.
func ours(name string) bool {
	switch textproto.CanonicalMIMEHeaderKey(name) {
	case "Content-Type", "Content-Length", "Content-Encoding", "Transfer-Encoding", "Connection", "Host", "Accept", "Accept-Encoding", "Prefer":
		return true
	}
	return false
}

func headerName(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}

func headerValue(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}
