package collector

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"stepaway/audit"
	"stepaway/trusted"
)

// Lifetimes of certificates.
const (
	caLife     = 10 * 365 * 24 * time.Hour
	serverLife = 365 * 24 * time.Hour
	deviceLife = 30 * 24 * time.Hour
	skew       = 5 * time.Minute // clocks of devices may be behind
)

// Authority is the collector's small CA and the key that it signs acknowledgements with.
type Authority struct {
	CA     *x509.Certificate
	AckKey ed25519.PrivateKey
	key    crypto.Signer
	dir    string
}

// Init makes the data directory with a CA, an acknowledgement key and a server certificate for hosts. It
// refuses to touch a directory that has any of them.
func Init(dir string, hosts []string, now time.Time) (*Authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	for _, name := range []string{"ca.crt", "ca.key", "ack.key", "server.pem", storeFile} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return nil, fmt.Errorf("%s holds a collector already (%s); choose another directory with --data", dir, name)
		}
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, fmt.Errorf("close the data directory to others: %w", err)
	}
	a, err := newAuthority(dir, now)
	if err != nil {
		return nil, err
	}
	return a, a.issueServer(hosts, now)
}

func newAuthority(dir string, now time.Time) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the CA key: %w", err)
	}
	_, ack, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the acknowledgement key: %w", err)
	}
	t := template("Stepaway collector CA", now, caLife)
	t.IsCA, t.BasicConstraintsValid, t.MaxPathLenZero = true, true, true
	t.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the CA certificate: %w", err)
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make the CA certificate: %w", err)
	}
	err = errors.Join(writeKey(dir, "ca.key", key), writeKey(dir, "ack.key", ack), writePEM(dir, "ca.crt", &pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return &Authority{CA: ca, AckKey: ack, key: key, dir: dir}, err
}

func template(name string, now time.Time, life time.Duration) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err) // the system's random source does not fail
	}
	return &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-skew), NotAfter: now.Add(life)}
}

// Load reads what Init made.
func Load(dir string) (*Authority, error) {
	der, err := readPEM(dir, "ca.crt", "CERTIFICATE")
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("no collector in %s; run `stepaway-collector init --data %s` first", dir, dir)
	}
	if err != nil {
		return nil, err
	}
	a := &Authority{dir: dir}
	if a.CA, err = x509.ParseCertificate(der); err != nil {
		return nil, fmt.Errorf("read ca.crt: %w", err)
	}
	if a.key, err = readKey(dir, "ca.key"); err != nil {
		return nil, err
	}
	ack, err := readKey(dir, "ack.key")
	if err != nil {
		return nil, err
	}
	var ok bool
	if a.AckKey, ok = ack.(ed25519.PrivateKey); !ok {
		return nil, errors.New("read ack.key: not an Ed25519 key")
	}
	return a, nil
}

func (a *Authority) ackKey() ed25519.PublicKey { return a.AckKey.Public().(ed25519.PublicKey) }

// Fingerprint of the CA certificate: SHA-256 in hex.
func (a *Authority) Fingerprint() string {
	sum := sha256.Sum256(a.CA.Raw)
	return hex.EncodeToString(sum[:])
}

// Issue makes a certificate for a device from its request, of which only the key is taken.
func (a *Authority) Issue(device audit.Label, csr *x509.CertificateRequest, now time.Time) ([]byte, error) {
	t := template(string(device), now, deviceLife)
	t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, t, a.CA, csr.PublicKey, a.key)
	if err != nil {
		return nil, fmt.Errorf("issue a certificate to %s: %w", device, err)
	}
	return der, nil
}

// issueServer makes the server's key and certificate for localhost, this host and hosts.
func (a *Authority) issueServer(hosts []string, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make the server key: %w", err)
	}
	t := template("Stepaway collector", now, serverLife)
	t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	t.IPAddresses, t.DNSNames = names(hosts)
	der, err := x509.CreateCertificate(rand.Reader, t, a.CA, key.Public(), a.key)
	if err != nil {
		return fmt.Errorf("issue the server certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("make the server key: %w", err)
	}
	return writePEM(a.dir, "server.pem", // one file, so that key and certificate change together
		&pem.Block{Type: "CERTIFICATE", Bytes: der}, &pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

// names sorts hosts into addresses and names, this machine's own included.
func names(hosts []string) (ips []net.IP, dns []string) {
	hosts = append([]string{"localhost", "127.0.0.1", "::1"}, hosts...)
	if h, err := os.Hostname(); err == nil && h != "" {
		hosts = append(hosts, h)
	}
	for _, h := range hosts {
		ip := net.ParseIP(h)
		switch {
		case ip != nil && !slices.ContainsFunc(ips, ip.Equal):
			ips = append(ips, ip)
		case ip == nil && !slices.Contains(dns, h):
			dns = append(dns, h)
		}
	}
	return ips, dns
}

func writeKey(dir, name string, key crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return writePEM(dir, name, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// writePEM replaces a file, readable by its owner only.
func writePEM(dir, name string, blocks ...*pem.Block) error {
	next := filepath.Join(dir, name+".new")
	_ = os.Remove(next)
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	for _, b := range blocks {
		err = errors.Join(err, pem.Encode(f, b))
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(next, filepath.Join(dir, name))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func readPEM(dir, name, kind string) ([]byte, error) {
	body, err := trusted.Secret(filepath.Join(dir, name), trusted.Account(dir), maxKeyFile)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	block, _ := pem.Decode(body)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("read %s: no %s in it", name, kind)
	}
	return block.Bytes, nil
}

func readKey(dir, name string) (crypto.Signer, error) {
	der, err := readPEM(dir, name, "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("read %s: not a signing key", name)
	}
	return signer, nil
}
