package courier

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"time"

	"stepaway/durable"
	"stepaway/trusted"
)

// keys is where the certificate that the device shows comes from, with its key.
type keys interface {
	// current is the pair to show now.
	current() (*tls.Certificate, error)
}

// rolled are keys that enrolment gave and that renew themselves: the pair in use in one file, so that it is replaced as
// a whole, and while a new one has not been used yet, that one in another file beside it.
type rolled struct {
	dir  string
	mu   sync.Mutex
	pair *tls.Certificate
	next *tls.Certificate // nil: none
}

// loadRolled reads the pairs. A next pair that cannot be read is one that was never in use.
func loadRolled(dir string) (*rolled, error) {
	r := &rolled{dir: dir}
	var err error
	if next, e := readPair(filepath.Join(dir, nextFile), filepath.Join(dir, nextFile)); e == nil {
		r.next = next
	}
	if r.pair, err = readPair(filepath.Join(dir, pairFile), filepath.Join(dir, pairFile)); err != nil {
		return nil, fmt.Errorf("read the device's certificate: %w", err)
	}
	return r, nil
}

func (r *rolled) current() (*tls.Certificate, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next != nil {
		return r.next, nil
	}
	return r.pair, nil
}

// put makes a new pair the one to show. The old one stays until confirm.
func (r *rolled) put(pem []byte) error {
	path := filepath.Join(r.dir, nextFile)
	if err := durable.Write(path, pem, 0o600); err != nil {
		return err
	}
	next, err := readPair(path, path)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next = next
	return nil
}

// unproved reports whether the pair to show is one that the collector has not accepted yet.
func (r *rolled) unproved() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.next != nil
}

// confirm drops the old pair, now that the collector has accepted the new one.
func (r *rolled) confirm() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next == nil {
		return nil
	}
	if err := os.Rename(filepath.Join(r.dir, nextFile), filepath.Join(r.dir, pairFile)); err != nil {
		return fmt.Errorf("keep the new certificate: %w", err)
	}
	r.pair, r.next = r.next, nil
	return durable.SyncDir(r.dir)
}

// reject goes back to the old pair, if it is still good.
func (r *rolled) reject(now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next == nil || now.After(r.pair.Leaf.NotAfter) {
		return nil
	}
	r.next = nil
	if err := os.Remove(filepath.Join(r.dir, nextFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("go back to the old certificate: %w", err)
	}
	return nil
}

// renewAt is when a certificate is due: after two thirds of its life and up to a twelfth of it later, as its number has
// it, so that workstations that were enrolled on one day are not all renewed on one day.
func renewAt(from, until time.Time, serial *big.Int) time.Time {
	life := until.Sub(from)
	late := new(big.Int).Mod(serial, big.NewInt(1000)).Int64()
	return from.Add(life * 2 / 3).Add(life / 12 * time.Duration(late) / 1000)
}

// placed are keys that the site keeps up to date in files.
type placed struct {
	cert, key string

	mu   sync.Mutex
	pair *tls.Certificate
	seen [2]time.Time
}

// current reads the files again when they have changed. While they do not fit together, as in the middle of being
// replaced, the pair from before serves on.
func (p *placed) current() (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := [2]time.Time{changed(p.cert), changed(p.key)}
	if p.pair != nil && seen == p.seen {
		return p.pair, nil
	}
	pair, err := readPair(p.cert, p.key)
	if err == nil {
		p.pair, p.seen = pair, seen
	}
	if p.pair == nil {
		return nil, fmt.Errorf("read the site's certificate: %w", err)
	}
	return p.pair, nil
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

// readPair reads a certificate, and a key that nobody else can read.
func readPair(certFile, keyFile string) (*tls.Certificate, error) {
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
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", certFile, keyFile, err)
	}
	return &pair, nil
}
