package courier_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/collector"
	"stepaway/courier"
)

// office is a site's own PKI, in files.
type office struct {
	t    *testing.T
	dir  string
	ca   *x509.Certificate
	key  *ecdsa.PrivateKey
	last int64
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{t: t, dir: t.TempDir(), key: newKey(t)}
	o.ca = &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "site CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-100 * day), NotAfter: time.Now().Add(1000 * day)}
	der, err := x509.CreateCertificate(rand.Reader, o.ca, o.ca, o.key.Public(), o.key)
	if err != nil {
		t.Fatal(err)
	}
	if o.ca, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	o.write("ca.pem", "CERTIFICATE", der)
	return o
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (o *office) path(name string) string { return filepath.Join(o.dir, name) }

func (o *office) write(name, kind string, der []byte) {
	o.t.Helper()
	if err := os.WriteFile(o.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		o.t.Fatal(err)
	}
}

// issue writes NAME.pem and NAME.key. between is called when only the key is there.
func (o *office) issue(name string, change func(*x509.Certificate), between func()) courier.Own {
	o.t.Helper()
	o.last++
	key := newKey(o.t)
	c := &x509.Certificate{SerialNumber: big.NewInt(100 + o.last), Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(100 * day), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if change != nil {
		change(c)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, o.ca, key.Public(), o.key)
	if err != nil {
		o.t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		o.t.Fatal(err)
	}
	o.write(name+".key", "PRIVATE KEY", pkcs8)
	if between != nil {
		between()
	}
	o.write(name+".pem", "CERTIFICATE", der)
	return courier.Own{Cert: o.path(name + ".pem"), Key: o.path(name + ".key")}
}

func forServer(c *x509.Certificate) {
	c.ExtKeyUsage, c.IPAddresses = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, []net.IP{net.IPv4(127, 0, 0, 1)}
}

func (o *office) house() *house {
	own := o.issue("server", forServer, nil)
	return newHouse(o.t, time.Now(), collector.PKI{Cert: own.Cert, Key: own.Key, ClientCA: o.path("ca.pem")})
}

// enrolled is a client with a certificate of the site, or the error of enrolling.
func (o *office) enrolled(h *house, own courier.Own) (*courier.Client, audit.Label, error) {
	dir := h.path("identity")
	device, err := courier.EnrollOwn(context.Background(), courier.EnrollOptions{Dir: dir, URL: h.url, CA: o.path("ca.pem"), Timeout: 10 * time.Second}, own)
	if err != nil {
		return nil, "", err
	}
	id, err := courier.LoadIdentity(dir)
	if err != nil {
		return nil, "", err
	}
	c, err := courier.NewClient(id, courier.ClientOptions{Timeout: 10 * time.Second})
	if err == nil {
		o.t.Cleanup(c.Close)
	}
	return c, device, err
}

// TestSitePKI: a certificate of the site's own, by files, under the name that it bears.
func TestSitePKI(t *testing.T) {
	o := newOffice(t)
	h := o.house()
	ctx := context.Background()
	for name, x := range map[string]struct {
		change func(*x509.Certificate)
		device audit.Label
		code   string // of the refusal, or:
		says   string // in its text
	}{
		"ward3-pc07": {nil, "ward3-pc07", "", ""},
		"by DNS name": {func(c *x509.Certificate) {
			c.Subject.CommonName, c.DNSNames = "", []string{"pc8.clinic.example", "other"}
		}, "pc8.clinic.example", "", ""},
		"CN before DNS": {func(c *x509.Certificate) { c.Subject.CommonName, c.DNSNames = "pc9", []string{"other"} }, "pc9", "", ""},
		"no name":       {func(c *x509.Certificate) { c.Subject.CommonName = "" }, "", "", "names no device"},
		"a person":      {func(c *x509.Certificate) { c.Subject.CommonName = "Ana Example" }, "", "", "want 1 to 63 letters"},
		"a-servers":     {forServer, "", "tls", ""},
		"ended":         {func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, "", "expired", ""},
		"not-yet":       {func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }, "", "expired", ""},
	} {
		c, device, err := o.enrolled(h, o.issue(strings.ReplaceAll(name, " ", "-"), func(c *x509.Certificate) {
			c.Subject.CommonName = name
			if x.change != nil {
				x.change(c)
			}
		}, nil))
		if x.code != "" || x.says != "" {
			if err == nil || x.code != "" && code(err) != x.code || !strings.Contains(err.Error(), x.says) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || device != x.device {
			t.Errorf("%s: %s, %v", name, device, err)
			continue
		}
		if err := c.Probe(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if renewed, err := c.Renew(ctx); renewed || err != nil {
			t.Errorf("%s: renewed %v, %v", name, renewed, err)
		}
	}
	// A token works there too, where the site's CA is named.
	tok := h.token("ws-1")
	if _, err := courier.Enroll(ctx, courier.EnrollOptions{Dir: h.path("a"), URL: h.url, CA: o.path("ca.pem")}, tok); err != nil {
		t.Errorf("with a token: %v", err)
	}
	if _, err := courier.Enroll(ctx, courier.EnrollOptions{Dir: h.path("b"), URL: h.url}, h.token("ws-2")); err == nil || !strings.Contains(err.Error(), "fingerprint") {
		t.Errorf("with a token and no CA: %v", err)
	}
}

// TestRenewedCertificateIsRefused in the handshake: the one from before serves on.
func TestRenewedCertificateIsRefused(t *testing.T) {
	w, err := newHouse(t, time.Now(), collector.PKI{}).workstation("ws-1", 0)
	if err != nil {
		t.Fatal(err)
	}
	own := newOffice(t).issue("ws-1", nil, nil)
	var pair []byte
	for _, name := range []string{own.Cert, own.Key} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		pair = append(pair, b...)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "device.next.pem"), pair, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.start(); err != nil {
		t.Fatal(err)
	}
	defer func() { w.Close() }()
	if err := w.Probe(t.Context()); code(err) != "tls" {
		t.Errorf("with a certificate of another CA: %v", err)
	}
	if err := w.start(); err != nil { // as the files have it
		t.Fatal(err)
	}
	if err := w.Probe(t.Context()); err != nil {
		t.Errorf("with the one from before: %v", err)
	}
}

// TestSiteCertificateIsReplaced: the site's tools replace both files, one after the other, at server and device.
func TestSiteCertificateIsReplaced(t *testing.T) {
	o := newOffice(t)
	h := o.house()
	c, _, err := o.enrolled(h, o.issue("ws-1", nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	again := func(what string) {
		t.Helper()
		c.Close() // a new connection
		if err := c.Probe(context.Background()); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	again("before")
	o.issue("ws-1", nil, func() { again("between key and certificate of the device") })
	again("after the device's")
	o.issue("server", forServer, func() { again("between key and certificate of the server") })
	again("after the server's")
	known := 0
	err = h.store.View(context.Background(), func(v *collector.View) error {
		ids, err := v.Identities(time.Now())
		known = len(ids["ws-1"].Certificates)
		return err
	})
	if err != nil || known != 2 {
		t.Errorf("%d certificates were used, %v", known, err)
	}
}

// TestKeysThatOthersCanRead are refused, with what to do.
func TestKeysThatOthersCanRead(t *testing.T) {
	o := newOffice(t)
	h := o.house()
	for name, x := range map[string]struct {
		change func(key string) error
		says   string
	}{
		"all may read":  {func(key string) error { return os.Chmod(key, 0o644) }, "chmod"},
		"all may write": {func(key string) error { return os.Chmod(key, 0o602) }, "chmod"},
		"a stranger's": {func(key string) error {
			if os.Geteuid() != 0 {
				return os.Chmod(key, 0o644)
			}
			return os.Chown(key, 4711, 4711)
		}, "ch"},
		"a link":    {func(key string) error { return relink(key) }, "symbolic link"},
		"not a key": {func(key string) error { return os.WriteFile(key, []byte("x"), 0o600) }, "key"},
		"another's": {func(key string) error { return os.Rename(o.issue("other", nil, nil).Key, key) }, "key"},
		"gone":      {os.Remove, "no such file"},
	} {
		own := o.issue("ws-1", nil, nil)
		if err := x.change(own.Key); err != nil {
			t.Fatal(err)
		}
		if _, _, err := o.enrolled(h, own); err == nil || !strings.Contains(err.Error(), x.says) {
			t.Errorf("%s: %v", name, err)
		}
		os.Remove(own.Key)
	}
	// The device's own key and the collector's.
	w, err := newHouse(t, time.Now(), collector.PKI{}).workstation("ws-1", 0)
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	if err := os.Chmod(filepath.Join(w.dir, "device.pem"), 0o604); err != nil {
		t.Fatal(err)
	}
	if _, err := courier.LoadIdentity(w.dir); err == nil || !strings.Contains(err.Error(), "chmod") {
		t.Errorf("the device's own: %v", err)
	}
	for _, name := range []string{"ca.key", "ack.key"} {
		path := filepath.Join(w.house.dir, name)
		if err := os.Chmod(path, 0o604); err != nil {
			t.Fatal(err)
		}
		if _, err := collector.Load(w.house.dir); err == nil || !strings.Contains(err.Error(), "chmod") {
			t.Errorf("%s: %v", name, err)
		}
		os.Chmod(path, 0o600)
	}
}

func relink(path string) error {
	if err := os.Rename(path, path+".real"); err != nil {
		return err
	}
	return os.Symlink(path+".real", path)
}
