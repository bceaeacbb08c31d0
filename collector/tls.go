package collector

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"sync"
	"time"
)

// tlsConfig serves with the certificate in the data directory, renewed before it ends, and lets clients in
// that show a certificate of this CA, or none: only enrolment works without.
func (a *Authority) tlsConfig() (*tls.Config, error) {
	s := &serverCert{a: a}
	if _, err := s.get(time.Now()); err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.CA)
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		ClientAuth:     tls.VerifyClientCertIfGiven,
		ClientCAs:      pool,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.get(time.Now()) },
	}, nil
}

// serverCert is the server's certificate as loaded last.
type serverCert struct {
	a    *Authority
	mu   sync.Mutex
	cert *tls.Certificate
}

// get answers the certificate; within the last third of its life a new one for the same names is made.
func (s *serverCert) get(now time.Time) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cert != nil && now.Before(renewAt(s.cert.Leaf)) {
		return s.cert, nil
	}
	if err := s.load(); err != nil {
		return nil, err
	}
	if now.Before(renewAt(s.cert.Leaf)) {
		return s.cert, nil
	}
	hosts := s.cert.Leaf.DNSNames
	for _, ip := range s.cert.Leaf.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	if err := s.a.issueServer(hosts, now); err != nil {
		return nil, err
	}
	return s.cert, s.load()
}

func (s *serverCert) load() error {
	path := filepath.Join(s.a.dir, "server.pem")
	cert, err := tls.LoadX509KeyPair(path, path)
	if err != nil {
		return fmt.Errorf("read the server certificate: %w", err)
	}
	cert.Certificate = append(cert.Certificate, s.a.CA.Raw) // a device that enrolls knows the CA by its fingerprint only
	s.cert = &cert
	return nil
}

func renewAt(c *x509.Certificate) time.Time {
	return c.NotAfter.Add(-c.NotAfter.Sub(c.NotBefore) / 3)
}
