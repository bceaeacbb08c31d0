package courier

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"stepaway/audit"
	"stepaway/uplink"
)

// ErrNotEnrolled is the error of a device that has no collector yet.
var ErrNotEnrolled = errors.New("not enrolled; run `stepaway-courier enroll --collector URL --token TOKEN`")

// Names within the identity's directory. nextKey is the key that a renewal has asked a certificate for.
const (
	keyFile     = "device.key"
	nextKeyFile = "device.key.next"
	certFile    = "device.crt"
	caFile      = "ca.crt"
	aboutFile   = "collector.json"
)

// Identity is what enrolment gave this device.
type Identity struct {
	Device audit.Label
	URL    string
	AckKey ed25519.PublicKey
	CA     *x509.Certificate
	Cert   tls.Certificate
	dir    string
}

// Bound names device and collector, for the spool. It is empty before enrolment.
func (id *Identity) Bound() string {
	if id.Device == "" {
		return ""
	}
	return string(id.Device) + " " + base64.StdEncoding.EncodeToString(id.AckKey)
}

// about is collector.json.
type about struct {
	URL    string      `json:"url"`
	Device audit.Label `json:"device"`
	AckKey string      `json:"ack_key"`
}

// LoadIdentity reads what enrolment wrote, and brings a renewal that was cut short to its end.
func LoadIdentity(dir string) (*Identity, error) {
	body, err := os.ReadFile(filepath.Join(dir, aboutFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotEnrolled
	}
	if err != nil {
		return nil, fmt.Errorf("read the enrolment: %w", err)
	}
	var a about
	if err := uplink.Decode(bytes.NewReader(body), uplink.MaxAnswer, &a); err != nil {
		return nil, fmt.Errorf("read %s: %w", aboutFile, err)
	}
	id := &Identity{Device: a.Device, URL: a.URL, dir: dir}
	if id.AckKey, err = ackKey(a.AckKey); err != nil {
		return nil, fmt.Errorf("read %s: %w", aboutFile, err)
	}
	if id.CA, err = readCert(filepath.Join(dir, caFile)); err != nil {
		return nil, err
	}
	if id.Cert, err = loadPair(dir); err != nil {
		return nil, err
	}
	return id, nil
}

func ackKey(text string) (ed25519.PublicKey, error) {
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, errors.New("not an acknowledgement key")
	}
	return key, nil
}

func readCert(path string) (*x509.Certificate, error) {
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read a certificate: %w", err)
	}
	c, err := parseCert(string(body))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return c, nil
}

func parseCert(text string) (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("no certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}

// loadPair loads certificate and key. Stopped between the new certificate and its key, the key still has
// the name of the next one.
func loadPair(dir string) (tls.Certificate, error) {
	cert, key, next := filepath.Join(dir, certFile), filepath.Join(dir, keyFile), filepath.Join(dir, nextKeyFile)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err == nil {
		return pair, nil
	}
	if pair, e := tls.LoadX509KeyPair(cert, next); e == nil {
		return pair, os.Rename(next, key)
	}
	return tls.Certificate{}, fmt.Errorf("read the device's certificate: %w", err)
}

// request makes a new key, and a certificate request for it.
func request(device audit.Label) (key, csr []byte, signer crypto.Signer, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("make a key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("make a key: %w", err)
	}
	req, err := x509.CreateCertificateRequest(rand.Reader,
		&x509.CertificateRequest{Subject: pkix.Name{CommonName: string(device)}}, k)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("make a certificate request: %w", err)
	}
	key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	csr = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: req})
	return key, csr, k, nil
}

// checkGranted checks a certificate that the collector gave: for this device and key, from this CA.
func checkGranted(g uplink.Granted, device audit.Label, ca *x509.Certificate, key crypto.Signer) error {
	cert, err := parseCert(g.Cert)
	if err != nil {
		return fmt.Errorf("certificate from the collector: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	_, err = cert.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return fmt.Errorf("certificate from the collector: %w", err)
	}
	pub, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if g.Device != device || cert.Subject.CommonName != string(device) || !ok || !pub.Equal(key.Public()) {
		return errors.New("certificate from the collector: for another device or key")
	}
	return nil
}

// save writes a new identity as a whole: a directory that takes the place of the one before.
func save(dir string, files map[string][]byte) error {
	next := dir + ".new"
	if err := os.RemoveAll(next); err != nil {
		return fmt.Errorf("save the enrolment: %w", err)
	}
	if err := os.MkdirAll(next, 0o700); err != nil {
		return fmt.Errorf("save the enrolment: %w", err)
	}
	for name, body := range files {
		if err := writeFile(filepath.Join(next, name), body); err != nil {
			return fmt.Errorf("save the enrolment: %w", err)
		}
	}
	old := dir + ".old"
	if err := os.RemoveAll(old); err != nil {
		return fmt.Errorf("save the enrolment: %w", err)
	}
	if err := os.Rename(dir, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("save the enrolment: %w", err)
	}
	if err := os.Rename(next, dir); err != nil {
		return fmt.Errorf("save the enrolment: %w", err)
	}
	return os.RemoveAll(old)
}

// writeFile replaces a file, readable by its owner only, so that after a power cut it is the old or the new.
func writeFile(path string, body []byte) error {
	next := path + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(body)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(next, path)
}
