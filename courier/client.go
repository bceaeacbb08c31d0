package courier

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"stepaway/audit"
	"stepaway/uplink"
)

// AnswerError is an exchange with the collector that failed.
type AnswerError struct {
	Code       string        // enumerated: unreachable, tls, slow, refused, busy, redirect, answer, ack, fork, hole
	RetryAfter time.Duration // what the collector asked for, or 0
	Err        error
}

func (e *AnswerError) Error() string { return e.Err.Error() }
func (e *AnswerError) Unwrap() error { return e.Err }

// ForkError is a properly signed ack for another event than ours: the collector holds another history.
type ForkError struct{ Ack uplink.Ack }

func (e *ForkError) Error() string {
	return fmt.Sprintf("the collector holds another event under number %d", e.Ack.Last)
}

func codeOf(err error) string {
	if a := (*AnswerError)(nil); errors.As(err, &a) {
		return a.Code
	}
	return "spool"
}

func retryAfter(err error) time.Duration {
	if a := (*AnswerError)(nil); errors.As(err, &a) {
		return a.RetryAfter
	}
	return 0
}

// ClientOptions change where a Client goes and how long it waits.
type ClientOptions struct {
	URL     string            // instead of the one from enrolment
	CA      *x509.Certificate // instead of the one from enrolment
	Timeout time.Duration     // of one whole exchange; 30 s if 0
}

// Client speaks to the collector over TLS 1.3, trusting its CA alone, past no proxy and no redirect.
type Client struct {
	id   *Identity
	base string
	http *http.Client

	mu   sync.Mutex
	cert tls.Certificate
}

// NewClient makes a client for an identity.
func NewClient(id *Identity, o ClientOptions) (*Client, error) {
	base, err := checkURL(orString(o.URL, id.URL))
	if err != nil {
		return nil, err
	}
	ca := o.CA
	if ca == nil {
		ca = id.CA
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	c := &Client{id: id, base: base, cert: id.Cert}
	c.http = newHTTP(o.Timeout, &tls.Config{
		RootCAs: pool,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			cert := c.cert
			return &cert, nil
		},
	})
	return c, nil
}

func orString(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// checkURL takes https://host:port and nothing more.
func checkURL(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		(u.Path != "" && u.Path != "/") {
		return "", fmt.Errorf("collector %q: want https://HOST:PORT", s)
	}
	return "https://" + u.Host, nil
}

func newHTTP(timeout time.Duration, config *tls.Config) *http.Client {
	config.MinVersion = tls.VersionTLS13
	timeout = orElse(timeout, 30*time.Second)
	return &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  nil, // none from the environment either
			DialContext:            (&net.Dialer{Timeout: timeout}).DialContext,
			TLSClientConfig:        config,
			TLSHandshakeTimeout:    timeout,
			ResponseHeaderTimeout:  timeout,
			IdleConnTimeout:        90 * time.Second,
			MaxIdleConnsPerHost:    1,
			MaxResponseHeaderBytes: 16 << 10,
			DisableCompression:     true,
			ForceAttemptHTTP2:      true,
		},
	}
}

// Close frees idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Send hands over a batch and checks the answer against it: the ack must be signed, of this device and
// epoch, and for an event that was sent, unless it names none of them.
func (c *Client) Send(ctx context.Context, b uplink.Batch, sent []audit.Record) (uplink.Ack, error) {
	var ack uplink.Ack
	if err := post(ctx, c.http, c.base+uplink.PathEvents, b, &ack); err != nil {
		return uplink.Ack{}, err
	}
	if ack.Device != b.Device || ack.Epoch != b.Epoch || !ack.Verify(c.id.AckKey) {
		return uplink.Ack{}, &AnswerError{Code: "ack", Err: errors.New("the acknowledgement is not the collector's for this device and epoch")}
	}
	first := sent[0].Seq
	if ack.Last < first {
		return ack, nil
	}
	if i := ack.Last - first; i >= uint64(len(sent)) || sent[i].Hash != ack.Hash {
		return uplink.Ack{}, &ForkError{Ack: ack}
	}
	return ack, nil
}

// Probe asks whether the collector answers this device.
func (c *Client) Probe(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+uplink.PathHealth, nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return &AnswerError{Code: netCode(err), Err: err}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		return refusal(resp)
	}
	return nil
}

// post sends ask as JSON and decodes the answer, all of it within the client's time.
func post(ctx context.Context, h *http.Client, to string, ask, answer any) error {
	body, err := json.Marshal(ask)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := h.Do(req)
	if err != nil {
		return &AnswerError{Code: netCode(err), Err: err}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refusal(resp)
	}
	if err := uplink.Decode(resp.Body, uplink.MaxAnswer, answer); err != nil {
		code := "answer"
		if netCode(err) == "slow" {
			code = "slow"
		}
		return &AnswerError{Code: code, Err: fmt.Errorf("answer of the collector: %w", err)}
	}
	return nil
}

func refusal(resp *http.Response) error {
	var r uplink.Refusal
	_ = uplink.Decode(io.LimitReader(resp.Body, 1024), 1024, &r)
	e := &AnswerError{Code: "answer", Err: fmt.Errorf("the collector answers %d %s", resp.StatusCode, audit.MakeLabel(r.Code))}
	switch s := resp.StatusCode; {
	case s == http.StatusServiceUnavailable || s == http.StatusTooManyRequests:
		e.Code = "busy"
		if n, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 31); err == nil {
			e.RetryAfter = time.Duration(n) * time.Second
		}
	case s == http.StatusUnauthorized || s == http.StatusForbidden:
		e.Code = "refused"
	case s >= 300 && s < 400:
		e.Code = "redirect"
	}
	return e
}

// netCode gives a word for an exchange that brought no answer.
func netCode(err error) string {
	var verify *tls.CertificateVerificationError
	var alert tls.AlertError
	var record tls.RecordHeaderError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &verify), errors.As(err, &alert), errors.As(err, &record):
		return "tls"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "slow"
	}
	return "unreachable"
}

// Renew gets a new certificate, for a new key, in the last third of the life of the one in use.
func (c *Client) Renew(ctx context.Context, now time.Time) (bool, error) {
	c.mu.Lock()
	leaf := c.cert.Leaf
	c.mu.Unlock()
	if now.Before(leaf.NotAfter.Add(-leaf.NotAfter.Sub(leaf.NotBefore) / 3)) {
		return false, nil
	}
	key, csr, signer, err := request(c.id.Device)
	if err != nil {
		return false, err
	}
	var g uplink.Granted
	if err := post(ctx, c.http, c.base+uplink.PathRenew, uplink.Renew{CSR: string(csr)}, &g); err != nil {
		return false, fmt.Errorf("renew the certificate: %w", err)
	}
	if err := checkGranted(g, c.id.Device, c.id.CA, signer); err != nil {
		return false, fmt.Errorf("renew the certificate: %w", err)
	}
	if err := c.replace(key, []byte(g.Cert)); err != nil {
		return false, fmt.Errorf("renew the certificate: %w", err)
	}
	c.http.CloseIdleConnections()
	return true, nil
}

// replace writes the key under its next name, the certificate, and then the key under its own: at every
// moment there is a pair that loadPair finds.
func (c *Client) replace(key, cert []byte) error {
	next := filepath.Join(c.id.dir, nextKeyFile)
	if err := writeFile(next, key); err != nil {
		return err
	}
	if err := writeFile(filepath.Join(c.id.dir, certFile), cert); err != nil {
		return err
	}
	if err := os.Rename(next, filepath.Join(c.id.dir, keyFile)); err != nil {
		return err
	}
	pair, err := loadPair(c.id.dir)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.cert = pair
	c.mu.Unlock()
	return nil
}
