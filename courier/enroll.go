package courier

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"stepaway/audit"
	"stepaway/uplink"
)

// EnrollOptions say how to reach the collector when enrolling.
type EnrollOptions struct {
	Dir     string // where the identity goes, in the place of any before
	URL     string
	CA      string        // file: whom the collector's certificate must be from; "": the CA that the token names
	Proxy   string        // as in the policy
	Timeout time.Duration // how long to try; uplink.ExchangeTime if 0
	Clock   *Clock        // the system's if nil
}

// Enroll shows a token to the collector and writes the identity it gets. The collector is known by the CA fingerprint in
// the token, so nothing is taken on trust. A clock that is outside of the token's life is taken to be wrong: certificates
// are then judged as of the token's first or last day.
func Enroll(ctx context.Context, o EnrollOptions, t uplink.Token) (audit.Label, error) {
	base, err := checkURL(o.URL)
	if err != nil {
		return "", err
	}
	proxy, err := parseProxy(o.Proxy)
	if err != nil {
		return "", err
	}
	key, csr, signer, err := request(t.Device)
	if err != nil {
		return "", err
	}
	config, ca, err := enrollTLS(o, t)
	if err != nil {
		return "", err
	}
	h := newHTTP(o.Timeout, proxy, config)
	defer h.CloseIdleConnections()
	g, err := askIn(ctx, h, base, uplink.Enroll{Secret: t.Secret, CSR: string(csr)}, orElse(o.Timeout, uplink.ExchangeTime))
	if err != nil {
		return "", fmt.Errorf("enroll at %s: %w", base, err)
	}
	err = checkGranted(g, t.Device, signer)
	if err == nil {
		err = checkIssuer(g, t.CA)
	}
	if err == nil {
		_, err = ackKey(g.AckKey)
	}
	if err != nil {
		return "", fmt.Errorf("enroll at %s: %w", base, err)
	}
	roots, err := ca()
	if err != nil {
		return "", err
	}
	return t.Device, saveIdentity(o.Dir, about{URL: base, Device: t.Device, AckKey: g.AckKey}, roots, append([]byte(g.Cert), key...))
}

// askIn shows the token, again for as long as there is time while the collector is busy: many may enroll at once.
func askIn(ctx context.Context, h *http.Client, base string, ask uplink.Enroll, within time.Duration) (g uplink.Granted, err error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	wait := backoff{min: 2 * time.Second, max: 10 * time.Second}
	for {
		_, err = exchange(ctx, h, http.MethodPost, base+uplink.PathEnroll, ask, &g)
		if err == nil || codeOf(err) != "busy" || !pause(ctx, max(wait.next(), min(retryAfter(err), wait.max))) {
			return g, err
		}
	}
}

func saveIdentity(dir string, a about, roots, pair []byte) error {
	known, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return err
	}
	files := map[string][]byte{aboutFile: known, caFile: roots}
	if pair != nil {
		files[pairFile] = pair
	}
	return save(dir, files)
}

// enrollTLS says how to know the collector, and answers afterwards what its CA is, as PEM.
func enrollTLS(o EnrollOptions, t uplink.Token) (*tls.Config, func() ([]byte, error), error) {
	clock := o.Clock
	if clock == nil {
		clock = NewClock(nil, nil)
	}
	now := func() time.Time { return t.Clamp(clock.Now()) }
	if o.CA != "" {
		roots, err := ReadRoots(o.CA)
		return &tls.Config{RootCAs: roots, Time: now}, func() ([]byte, error) { return os.ReadFile(o.CA) }, err
	}
	seen := &pinned{fingerprint: t.CA, now: now}
	config := &tls.Config{
		InsecureSkipVerify: true, // the CA is not known yet: verify checks the chain against its fingerprint
		VerifyConnection:   seen.verify,
	}
	return config, func() ([]byte, error) {
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: seen.ca.Raw}), nil
	}, nil
}

// EnrollOwn makes a device known that has a certificate of the site's own PKI: the collector says how it reads the name, and
// what key it signs acknowledgements with. o.CA is needed.
func EnrollOwn(ctx context.Context, o EnrollOptions, own Own) (audit.Label, error) {
	roots, err := ReadRoots(o.CA)
	if err != nil {
		return "", err
	}
	ks, err := own.keys()
	if err != nil {
		return "", err
	}
	pair, err := ks.current()
	if err != nil {
		return "", err
	}
	device, err := uplink.DeviceOf(pair.Leaf)
	if err != nil {
		return "", err
	}
	c, err := NewClient(&Identity{Device: device, URL: o.URL, Roots: roots, keys: ks}, ClientOptions{Proxy: o.Proxy, Timeout: o.Timeout, Clock: o.Clock})
	if err != nil {
		return "", err
	}
	defer c.Close()
	var a uplink.About
	if err := c.do(ctx, http.MethodGet, uplink.PathAbout, nil, &a); err != nil {
		return "", fmt.Errorf("enroll at %s: %w", c.base, err)
	}
	if _, err := ackKey(a.AckKey); err != nil {
		return "", fmt.Errorf("enroll at %s: %w", c.base, err)
	}
	if a.Device != device {
		return "", fmt.Errorf("enroll at %s: it takes the certificate for that of %q, and this device for that of %q", c.base, a.Device, device)
	}
	body, err := os.ReadFile(o.CA)
	if err != nil {
		return "", fmt.Errorf("read the collector's CA: %w", err)
	}
	return device, saveIdentity(o.Dir, about{URL: c.base, Device: device, AckKey: a.AckKey, Own: &own}, body, nil)
}

// pinned finds the CA with a fingerprint among what a server shows.
type pinned struct {
	fingerprint string
	now         func() time.Time
	ca          *x509.Certificate
}

func (p *pinned) verify(s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("the collector shows no certificate")
	}
	for _, c := range s.PeerCertificates[1:] {
		if fingerprint(c) == p.fingerprint && c.IsCA {
			p.ca = c
		}
	}
	if p.ca == nil {
		return errors.New("not the collector that the token was made by: its CA has another fingerprint")
	}
	roots := x509.NewCertPool()
	roots.AddCert(p.ca)
	err := verifyServer(s, roots, p.now())
	if outOfTime(err) {
		return fmt.Errorf("is the clock of the collector wrong, or is the token an old one? as of %s: %w", p.now().UTC().Format(time.RFC3339), err)
	}
	return err
}

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
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

// checkGranted checks a certificate that the collector gave: for this device and key, to be shown by a client. Its time is
// the collector's affair, which judges it.
func checkGranted(g uplink.Granted, device audit.Label, key crypto.Signer) error {
	cert, err := parseCert(g.Cert)
	if err != nil {
		return fmt.Errorf("certificate from the collector: %w", err)
	}
	pub, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if g.Device != device || cert.Subject.CommonName != string(device) || !ok || !pub.Equal(key.Public()) {
		return errors.New("certificate from the collector: for another device or key")
	}
	if cert.IsCA || len(cert.ExtKeyUsage) != 1 || cert.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth || !cert.NotAfter.After(cert.NotBefore) {
		return errors.New("certificate from the collector: not one for a client")
	}
	return nil
}

// checkIssuer checks that the certificate is from the CA that the token named.
func checkIssuer(g uplink.Granted, pin string) error {
	ca, err := parseCert(g.CA)
	if err != nil {
		return fmt.Errorf("CA from the collector: %w", err)
	}
	cert, err := parseCert(g.Cert)
	if err != nil {
		return fmt.Errorf("certificate from the collector: %w", err)
	}
	if fingerprint(ca) != pin {
		return errors.New("CA from the collector: not the one that the token names")
	}
	if err := cert.CheckSignatureFrom(ca); err != nil {
		return fmt.Errorf("certificate from the collector: %w", err)
	}
	return nil
}
