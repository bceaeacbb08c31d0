package courier

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"stepaway/audit"
	"stepaway/durable"
	"stepaway/uplink"
)

// ErrNotEnrolled is the error of a device that has no collector yet.
var ErrNotEnrolled = errors.New("not enrolled; run `stepaway-courier enroll --collector URL --token TOKEN`")

// Names within the identity's directory.
const (
	pairFile  = "device.pem"      // certificate and key
	nextFile  = "device.next.pem" // those of a renewal, until they were used once
	caFile    = "ca.crt"          // whom the collector's certificate must be from
	aboutFile = "collector.json"  // see about
)

// Identity is what enrolment gave this device.
type Identity struct {
	Device audit.Label
	URL    string
	AckKey ed25519.PublicKey
	Roots  *x509.CertPool // whom the collector's certificate must be from
	keys   keys
}

// Bound names device and collector, for the spool. It is empty before enrolment.
func (id *Identity) Bound() string {
	if id.Device == "" {
		return ""
	}
	return string(id.Device) + " " + base64.StdEncoding.EncodeToString(id.AckKey)
}

// Certificate is the one that the device shows now.
func (id *Identity) Certificate() (*x509.Certificate, error) {
	pair, err := id.keys.current()
	if err != nil {
		return nil, err
	}
	return pair.Leaf, nil
}

// Renewal is when the certificate renews itself; the zero time if that is the site's own task.
func (id *Identity) Renewal() time.Time {
	r, ok := id.keys.(*rolled)
	if !ok {
		return time.Time{}
	}
	pair, err := r.current()
	if err != nil {
		return time.Time{}
	}
	return renewAt(pair.Leaf.NotBefore, pair.Leaf.NotAfter, pair.Leaf.SerialNumber)
}

// Own is a certificate of the site's own PKI: files, or on Windows its thumbprint in the machine's store.
type Own struct {
	Cert       string `json:"cert,omitempty"`
	Key        string `json:"key,omitempty"`
	Thumbprint string `json:"thumbprint,omitempty"` // SHA-1, 40 hex digits
}

// about is collector.json.
type about struct {
	URL    string      `json:"url"`
	Device audit.Label `json:"device"`
	AckKey string      `json:"ack_key"`
	Own    *Own        `json:"own,omitempty"` // nil: device.pem
}

// LoadIdentity reads what enrolment wrote.
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
	id := &Identity{Device: a.Device, URL: a.URL}
	if id.AckKey, err = ackKey(a.AckKey); err != nil {
		return nil, fmt.Errorf("read %s: %w", aboutFile, err)
	}
	if id.Roots, err = ReadRoots(filepath.Join(dir, caFile)); err != nil {
		return nil, err
	}
	if a.Own != nil {
		id.keys, err = a.Own.keys()
	} else {
		id.keys, err = loadRolled(dir)
	}
	return id, err
}

func (o Own) keys() (keys, error) {
	if o.Thumbprint != "" {
		return storeKeys(o.Thumbprint)
	}
	return &placed{cert: o.Cert, key: o.Key}, nil
}

func ackKey(text string) (ed25519.PublicKey, error) {
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, errors.New("not an acknowledgement key")
	}
	return key, nil
}

// ReadRoots reads a file of CA certificates.
func ReadRoots(path string) (*x509.CertPool, error) {
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the collector's CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(body) {
		return nil, fmt.Errorf("read the collector's CA: no certificate in %s", path)
	}
	return pool, nil
}

func parseCert(text string) (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("no certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}

// save writes a new identity as a whole: a directory that takes the place of the one before, at one moment.
func save(dir string, files map[string][]byte) error {
	next := dir + ".new"
	if err := os.RemoveAll(next); err != nil {
		return fmt.Errorf("save the enrolment: %w", err)
	}
	if err := os.MkdirAll(next, 0o700); err != nil {
		return fmt.Errorf("save the enrolment: %w", err)
	}
	for name, body := range files {
		if err := durable.Write(filepath.Join(next, name), body, 0o600); err != nil {
			return fmt.Errorf("save the enrolment: %w", err)
		}
	}
	if err := replaceDir(next, dir); err != nil {
		return fmt.Errorf("save the enrolment: %w", err)
	}
	if err := durable.SyncDir(filepath.Dir(dir)); err != nil {
		return fmt.Errorf("save the enrolment: %w", err)
	}
	return os.RemoveAll(next)
}
