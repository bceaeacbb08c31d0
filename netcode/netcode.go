// Package netcode gives one word for why an exchange over the network brought no answer. Errors that it does not know are
// "unreachable": it never fails, and what a peer says goes into no word.
package netcode

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Of gives "tls" where one side did not take the other's TLS, "slow" where time ran out, and else "unreachable".
func Of(err error) string {
	var verify *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var timeout interface{ Timeout() bool }
	switch {
	case Refused(err), errors.As(err, &verify), errors.As(err, &record):
		return "tls"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "slow"
	}
	return "unreachable"
}

// Refused reports whether the peer ended TLS with an alert, as it does when it does not take our certificate. Before its
// own certificate was checked, anybody on the way can send one.
func Refused(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error" // crypto/tls has no exported type for it; tls.AlertError is QUIC's
}

// listening is how long Why takes: to connect, to show our certificate, and a round trip more.
const listening = 5 * time.Second

// Why gives the alert behind a connection that was lost, or else err. In TLS 1.3 a peer refuses our certificate when we
// speak already, and what then comes first, its alert, a write that fails or a reset that takes the alert with it, is
// chance. So Why connects once more, says nothing and listens.
func Why(ctx context.Context, dial func(context.Context) (net.Conn, error), config *tls.Config, err error) error {
	var op *net.OpError
	if Of(err) != "unreachable" || errors.As(err, &op) && op.Op == "dial" {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, listening)
	defer cancel()
	raw, e := dial(ctx)
	if e != nil {
		return err
	}
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	c := tls.Client(raw, config)
	if e = c.HandshakeContext(ctx); e == nil {
		_, e = c.Read(make([]byte, 1))
	}
	if Refused(e) {
		return e
	}
	return err
}

// WhyHTTP does the same for a request to an address, as t makes one.
func WhyHTTP(ctx context.Context, t *http.Transport, to *url.URL, err error) error {
	config := t.TLSClientConfig.Clone()
	config.NextProtos, config.ServerName = []string{"h2", "http/1.1"}, cmp.Or(config.ServerName, to.Hostname())
	return Why(ctx, func(ctx context.Context) (net.Conn, error) {
		return t.DialContext(ctx, "tcp", net.JoinHostPort(to.Hostname(), cmp.Or(to.Port(), "443")))
	}, config, err)
}
