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
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"stepaway/audit"
	"stepaway/netcode"
	"stepaway/uplink"
)

// AnswerError is an exchange with the collector that failed.
type AnswerError struct {
	Code       string        // enumerated, see Codes
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

// Codes is every code of what keeps events from being delivered, and what it means. docs/operate.md says what to do.
var Codes = map[string]string{
	"unreachable": "no connection to the collector",
	"proxy":       "the proxy of the policy does not let us through",
	"tls":         "no TLS with the collector: one of the two does not take the other's certificate",
	"clock":       "the collector's certificate is not valid at this machine's time, and the collector did not say what time it is",
	"slow":        "the collector did not answer in time",
	"busy":        "the collector asks to come again later",
	"refused":     "the collector does not take this device's certificate",
	"revoked":     "this device was revoked at the collector; enroll it again",
	"lapsed":      "the certificate has ended and is being renewed",
	"expired":     "the certificate ended too long ago to be renewed; enroll this device again",
	"token":       "the token is unknown, used or expired",
	"event":       "the collector does not know an event of this version; update the collector",
	"version":     "the collector does not speak this version of the protocol; update the older of the two",
	"redirect":    "the collector sends us elsewhere, which is not followed",
	"answer":      "the collector's answer is not one",
	"ack":         "the acknowledgement is not signed by the collector enrolled at",
	"fork":        "the collector holds another history of this spool",
	"hole":        "the collector lacks what it once acknowledged",
	"spool":       "the spool fails",
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
	URL     string         // instead of the one from enrolment
	Roots   *x509.CertPool // instead of those from enrolment
	Proxy   string         // http://HOST:PORT or https://HOST:PORT; "": none. Never used for this machine's own addresses
	Timeout time.Duration  // of one whole exchange; uplink.ExchangeTime if 0
	Clock   *Clock         // the system's if nil
}

// Client speaks to the collector, HTTP/2 over TLS 1.3, trusting its CA alone, following no redirect, and through no proxy but
// the policy's.
type Client struct {
	id      *Identity
	base    string
	http    *http.Client
	roots   *x509.CertPool
	proxy   *url.URL
	timeout time.Duration
	clock   *Clock
	lapsed  atomic.Bool // the collector said that our certificate has ended
}

// NewClient makes a client for an identity.
func NewClient(id *Identity, o ClientOptions) (*Client, error) {
	base, err := checkURL(orString(o.URL, id.URL))
	if err != nil {
		return nil, err
	}
	proxy, err := parseProxy(o.Proxy)
	if err != nil {
		return nil, err
	}
	c := &Client{id: id, base: base, roots: o.Roots, proxy: proxy, timeout: o.Timeout, clock: o.Clock}
	if c.roots == nil {
		c.roots = id.Roots
	}
	if c.clock == nil {
		c.clock = NewClock(nil, nil)
	}
	if leaf, err := id.Certificate(); err == nil {
		c.clock.notBefore(leaf.NotBefore)
	}
	c.http = newHTTP(o.Timeout, proxy, &tls.Config{
		RootCAs:              c.roots,
		Time:                 c.clock.Now,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return id.keys.current() },
	})
	return c, nil
}

// Clock is the client's.
func (c *Client) Clock() *Clock { return c.clock }

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

func newHTTP(timeout time.Duration, proxy *url.URL, config *tls.Config) *http.Client {
	config.MinVersion = tls.VersionTLS13
	timeout = orElse(timeout, uplink.ExchangeTime)
	only2 := new(http.Protocols)
	only2.SetHTTP2(true)
	return &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  nil, // none from the environment: tunnel has the policy's
			DialContext:            tunnel{proxy: proxy, timeout: timeout}.dial,
			TLSClientConfig:        config,
			TLSHandshakeTimeout:    timeout,
			ResponseHeaderTimeout:  timeout,
			IdleConnTimeout:        90 * time.Second,
			MaxIdleConnsPerHost:    1,
			MaxResponseHeaderBytes: uplink.MaxHeader,
			DisableCompression:     true,
			Protocols:              only2,
		},
	}
}

// Close frees idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Send hands over a batch and checks the answer against it: the ack must be signed, of this device and
// epoch, and for an event that was sent, unless it names none of them.
func (c *Client) Send(ctx context.Context, b uplink.Batch, sent []audit.Record) (uplink.Ack, error) {
	var ack uplink.Ack
	if err := c.do(ctx, http.MethodPost, uplink.PathEvents, b, &ack); err != nil {
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
	return c.do(ctx, http.MethodGet, uplink.PathHealth, nil, nil)
}

// do is one exchange with the collector, and what follows from it for clock and certificate.
func (c *Client) do(ctx context.Context, method, path string, ask, answer any) error {
	date, err := exchange(ctx, c.http, method, c.base+path, ask, answer)
	if outOfTime(err) && c.id.AckKey != nil {
		if e := c.askTime(ctx); e != nil {
			return c.clockError(errors.Join(err, e))
		}
		date, err = exchange(ctx, c.http, method, c.base+path, ask, answer)
	} else if outOfTime(err) {
		return c.clockError(err)
	}
	if !date.IsZero() {
		c.clock.learn(date)
	}
	return c.weigh(err)
}

// exchange sends ask as JSON and decodes the answer, all of it within the client's time; 204 is due if answer is nil. date
// is when the collector says that it answered, whatever it answered.
func exchange(ctx context.Context, h *http.Client, method, to string, ask, answer any) (date time.Time, err error) {
	var body []byte
	if ask != nil {
		if body, err = json.Marshal(ask); err != nil {
			return date, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, to, bytes.NewReader(body))
	if err != nil {
		return date, err
	}
	if ask != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := h.Do(req)
	if err != nil {
		err = netcode.WhyHTTP(ctx, h.Transport.(*http.Transport), req.URL, err)
		return date, &AnswerError{Code: netCode(err), Err: err}
	}
	defer resp.Body.Close()
	date, _ = http.ParseTime(resp.Header.Get("Date"))
	want := http.StatusOK
	if answer == nil {
		want = http.StatusNoContent
	}
	if resp.StatusCode != want {
		return date, refusal(resp)
	}
	if answer == nil {
		return date, nil
	}
	if err := uplink.Decode(resp.Body, uplink.MaxAnswer, answer); err != nil {
		code := "answer"
		if netCode(err) == "slow" {
			code = "slow"
		}
		return date, &AnswerError{Code: code, Err: fmt.Errorf("answer of the collector: %w", err)}
	}
	return date, nil
}

// refusal makes an error of an answer that says no.
func refusal(resp *http.Response) error {
	var r uplink.Refusal
	_ = uplink.Decode(io.LimitReader(resp.Body, 1024), 1024, &r)
	e := &AnswerError{Code: refusalCode(resp.StatusCode, r.Code), Err: fmt.Errorf("the collector answers %d %s", resp.StatusCode, audit.MakeLabel(r.Code))}
	if n, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 31); err == nil && e.Code == "busy" {
		e.RetryAfter = time.Duration(n) * time.Second
	}
	return e
}

func refusalCode(status int, code string) string {
	switch {
	case status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests:
		return "busy"
	case status == http.StatusForbidden && (code == uplink.CodeRevoked || code == uplink.CodeLapsed || code == uplink.CodeExpired || code == uplink.CodeToken):
		return code
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return "refused"
	case status == http.StatusBadRequest && code == uplink.CodeEvent:
		return "event"
	case status == http.StatusGone, (status == http.StatusNotFound || status == http.StatusMethodNotAllowed) && code == uplink.CodeUnknown:
		return "version"
	case status >= 300 && status < 400:
		return "redirect"
	}
	return "answer"
}

// netCode gives a word for an exchange that brought no answer.
func netCode(err error) string {
	if a := (*AnswerError)(nil); errors.As(err, &a) { // of the proxy
		return a.Code
	}
	return netcode.Of(err)
}
