package courier

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"stepaway/audit"
	"stepaway/uplink"
)

// Enroll shows a token to the collector at address and writes the identity it gets into dir, in the place
// of any before. The collector is known by the CA fingerprint in the token, so nothing is taken on trust.
func Enroll(ctx context.Context, dir, address string, t uplink.Token, timeout time.Duration) (audit.Label, error) {
	base, err := checkURL(address)
	if err != nil {
		return "", err
	}
	key, csr, signer, err := request(t.Device)
	if err != nil {
		return "", err
	}
	seen := &pinned{fingerprint: t.CA}
	h := newHTTP(timeout, &tls.Config{
		InsecureSkipVerify: true, // the CA is not known yet: verify checks the chain against its fingerprint
		VerifyConnection:   seen.verify,
	})
	defer h.CloseIdleConnections()
	var g uplink.Granted
	if err := post(ctx, h, base+uplink.PathEnroll, uplink.Enroll{Secret: t.Secret, CSR: string(csr)}, &g); err != nil {
		return "", fmt.Errorf("enroll at %s: %w", base, err)
	}
	if err := checkGranted(g, t.Device, seen.ca, signer); err != nil {
		return "", fmt.Errorf("enroll at %s: %w", base, err)
	}
	if _, err := ackKey(g.AckKey); err != nil {
		return "", fmt.Errorf("enroll at %s: %w", base, err)
	}
	known, err := json.MarshalIndent(about{URL: base, Device: t.Device, AckKey: g.AckKey}, "", "  ")
	if err != nil {
		return "", err
	}
	return t.Device, save(dir, map[string][]byte{keyFile: key, certFile: []byte(g.Cert), aboutFile: known,
		caFile: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: seen.ca.Raw})})
}

// pinned finds the CA with a fingerprint among what a server shows.
type pinned struct {
	fingerprint string
	ca          *x509.Certificate
}

func (p *pinned) verify(s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("the collector shows no certificate")
	}
	for _, c := range s.PeerCertificates[1:] {
		if sum := sha256.Sum256(c.Raw); hex.EncodeToString(sum[:]) == p.fingerprint && c.IsCA {
			p.ca = c
		}
	}
	if p.ca == nil {
		return errors.New("not the collector that the token was made by: its CA has another fingerprint")
	}
	roots := x509.NewCertPool()
	roots.AddCert(p.ca)
	_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, DNSName: s.ServerName})
	return err
}
