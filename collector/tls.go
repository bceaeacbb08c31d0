package collector

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"stepaway/trusted"
	"stepaway/uplink"
)

// PKI is what a site has of certificates of its own. The zero value is the collector's CA alone.
type PKI struct {
	Cert, Key string        // files: the server's certificate with what leads to its CA, and its key. Read again when they change
	ClientCA  string        // file with the CAs whose certificates devices may show as well
	Grace     time.Duration // how long after its end a certificate of the collector's CA may be renewed; 30 days if 0
}

func (p PKI) grace() time.Duration {
	if p.Grace == 0 {
		return deviceLife
	}
	return p.Grace
}

// tlsConfig serves with TLS 1.3 alone. A client may show no certificate: then only enrolment works, and the time, and not
// for long. One that it shows must be of one of the CAs; whether it is still good is looked at with each request.
func (s *Server) tlsConfig() (*tls.Config, error) {
	certs := s.serverCerts()
	if _, err := certs.get(s.Now()); err != nil {
		return nil, err
	}
	pool, err := s.clientCAs()
	if err != nil {
		return nil, err
	}
	config := &tls.Config{
		MinVersion: tls.VersionTLS13, ClientAuth: tls.RequestClientCert, ClientCAs: pool, SessionTicketsDisabled: true,
		NextProtos:     []string{"h2"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certs.get(s.Now()) },
	}
	check := func(state tls.ConnectionState) error { return s.checkClient(pool, state) }
	config.VerifyConnection = check
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		g, ok := hello.Conn.(*guest)
		if !ok {
			return nil, nil
		}
		c := config.Clone()
		c.VerifyConnection = func(state tls.ConnectionState) error {
			err := check(state)
			if err != nil || len(state.PeerCertificates) == 0 {
				return err
			}
			if device, err := uplink.DeviceOf(state.PeerCertificates[0]); err == nil {
				g.stays(device)
			}
			return nil
		}
		return c, nil
	}
	return config, nil
}

func (s *Server) clientCAs() (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	pool.AddCert(s.authority.CA)
	if s.PKI.ClientCA == "" {
		return pool, nil
	}
	body, err := os.ReadFile(s.PKI.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("read the CAs of devices: %w", err)
	}
	if !pool.AppendCertsFromPEM(body) {
		return nil, fmt.Errorf("read the CAs of devices: no certificate in %s", s.PKI.ClientCA)
	}
	return pool, nil
}

// checkClient makes sure that one of the CAs issued what the client shows, as a client's. Its time is judged as of its last
// day if that has passed: what it may still do then is decided with each request.
func (s *Server) checkClient(pool *x509.CertPool, state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return nil
	}
	leaf, at := state.PeerCertificates[0], s.Now()
	if at.After(leaf.NotAfter) {
		at = leaf.NotAfter
	}
	if at.Before(leaf.NotBefore) {
		at = leaf.NotBefore
	}
	between := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: pool, Intermediates: between, CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return err
}

// certSource answers the server's certificate.
type certSource interface {
	get(now time.Time) (*tls.Certificate, error)
}

func (s *Server) serverCerts() certSource {
	if s.PKI.Cert != "" {
		return &siteCert{pki: s.PKI}
	}
	return &serverCert{a: s.authority}
}

// serverCert is the server's certificate in the data directory, as loaded last.
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
	cert, err := loadPair(path, path)
	if err != nil {
		return fmt.Errorf("read the server certificate: %w", err)
	}
	cert.Certificate = append(cert.Certificate, s.a.CA.Raw) // a device that enrolls knows the CA by its fingerprint only
	s.cert = cert
	return nil
}

func renewAt(c *x509.Certificate) time.Time {
	return c.NotAfter.Add(-c.NotAfter.Sub(c.NotBefore) / 3)
}

// siteCert is a certificate that the site keeps up to date in files.
type siteCert struct {
	pki  PKI
	mu   sync.Mutex
	cert *tls.Certificate
	seen [2]time.Time // when the files were changed
}

// get reads the files again when they have changed. While they do not fit together, as in the middle of being replaced, the
// certificate from before serves on.
func (s *siteCert) get(time.Time) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := [2]time.Time{changed(s.pki.Cert), changed(s.pki.Key)}
	if s.cert != nil && seen == s.seen {
		return s.cert, nil
	}
	cert, err := loadPair(s.pki.Cert, s.pki.Key)
	if err == nil {
		s.cert, s.seen = cert, seen
	}
	if s.cert == nil {
		return nil, fmt.Errorf("read the site's server certificate: %w", err)
	}
	return s.cert, nil
}

func changed(path string) time.Time {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// maxKeyFile is the largest file of a key and its certificates, in bytes.
const maxKeyFile = 1 << 20

// loadPair reads a certificate, and a key that nobody else can read.
func loadPair(certFile, keyFile string) (*tls.Certificate, error) {
	key, err := trusted.Secret(keyFile, trusted.Account(filepath.Dir(keyFile)), maxKeyFile)
	if err != nil {
		return nil, err
	}
	cert := key
	if certFile != keyFile {
		if cert, err = os.ReadFile(certFile); err != nil {
			return nil, err
		}
	}
	if block, _ := pem.Decode(cert); block == nil {
		return nil, errors.New("no PEM in " + certFile)
	}
	pair, err := tls.X509KeyPair(cert, key)
	return &pair, err
}
