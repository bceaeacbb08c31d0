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

// listening is how long a peer has to refuse our certificate once it has it: a round trip, and time to think.
const listening = 5 * time.Second

// Why gives the alert behind a connection that was lost, or else err. In TLS 1.3 a peer refuses our certificate when we
// speak already; package http then tells of the loss alone, or of its own first write, as the moment has it. So Why connects
// to host once more, as t does, says nothing and listens.
func Why(ctx context.Context, t *http.Transport, to *url.URL, err error) error {
	var op *net.OpError
	if Of(err) != "unreachable" || errors.As(err, &op) && op.Op == "dial" || to.Scheme != "https" {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, t.TLSHandshakeTimeout)
	defer cancel()
	raw, e := t.DialContext(ctx, "tcp", net.JoinHostPort(to.Hostname(), cmp.Or(to.Port(), "443")))
	if e != nil {
		return err
	}
	defer raw.Close()
	config := t.TLSClientConfig.Clone()
	config.NextProtos, config.ServerName = []string{"h2", "http/1.1"}, cmp.Or(config.ServerName, to.Hostname())
	c := tls.Client(raw, config)
	if e = c.HandshakeContext(ctx); e == nil {
		_ = raw.SetReadDeadline(time.Now().Add(listening))
		_, e = c.Read(make([]byte, 1))
	}
	if Refused(e) {
		return e
	}
	return err
}
