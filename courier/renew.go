package courier

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"stepaway/netcode"
	"stepaway/uplink"
)

// Renew gets a new certificate, for a new key, when that is due by the collector's time, or when the collector said that the
// one in use has ended. The old one is kept until the new one was used once. A site's own certificate is not renewed here.
func (c *Client) Renew(ctx context.Context) (bool, error) {
	r, ok := c.id.keys.(*rolled)
	if !ok {
		return false, nil
	}
	if !c.lapsed.Load() && c.clock.Now().Before(c.id.Renewal()) {
		return false, nil
	}
	if err := c.renew(ctx, r); err != nil {
		return false, fmt.Errorf("renew the certificate: %w", err)
	}
	c.lapsed.Store(false)
	c.http.CloseIdleConnections() // they show the old one
	if err := c.Probe(ctx); err != nil && !r.unproved() {
		return false, fmt.Errorf("the collector does not take the certificate that it just gave: %w", err)
	}
	return true, nil
}

func (c *Client) renew(ctx context.Context, r *rolled) error {
	key, csr, signer, err := request(c.id.Device)
	if err != nil {
		return err
	}
	var g uplink.Granted
	if err := c.do(ctx, http.MethodPost, uplink.PathRenew, uplink.Renew{CSR: string(csr)}, &g); err != nil {
		return err
	}
	if err := checkGranted(g, c.id.Device, signer); err != nil {
		return err
	}
	return r.put(append([]byte(g.Cert), key...))
}

// weigh draws from an exchange what it says about the certificate that was shown.
func (c *Client) weigh(err error) error {
	r, ok := c.id.keys.(*rolled)
	if !ok {
		return err
	}
	code := ""
	if err != nil {
		code = codeOf(err)
	}
	switch {
	case err == nil && r.unproved():
		_ = r.confirm() // tried again after the next exchange
	case code == "lapsed":
		c.lapsed.Store(true)
	case r.unproved() && (code == "refused" || code == "revoked" || code == "expired" || netcode.Refused(err)):
		c.http.CloseIdleConnections()
		return errors.Join(err, r.reject(c.clock.Now()))
	}
	return err
}
