package sink

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"stepaway/netcode"
	"stepaway/sink/encode"
)

// web posts to one receiver.
type web struct {
	spec   Spec
	url    string
	client *http.Client
	send   func(ctx context.Context, es []encode.Entry) error // one request
}

func newWeb(s Spec, path string) (*web, error) {
	config, err := s.tlsConfig()
	if err != nil {
		return nil, fmt.Errorf("sink %s: %w", s.Name, err)
	}
	if _, err := s.headers(); err != nil {
		return nil, fmt.Errorf("sink %s: %w", s.Name, err)
	}
	u := *s.URL
	u.Path = strings.TrimRight(u.Path, "/") + path
	return &web{spec: s, url: u.String(), client: &http.Client{
		Timeout:       sendLimit,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  nil, // none from the environment either
			DialContext:            (&net.Dialer{Timeout: sendLimit}).DialContext,
			TLSClientConfig:        config,
			TLSHandshakeTimeout:    sendLimit,
			ResponseHeaderTimeout:  sendLimit,
			IdleConnTimeout:        90 * time.Second,
			MaxIdleConnsPerHost:    1,
			MaxResponseHeaderBytes: 16 << 10,
			DisableCompression:     true,
			ForceAttemptHTTP2:      true,
		},
	}}, nil
}

func (w *web) Close() { w.client.CloseIdleConnections() }

// answer is what a receiver said, within bounds.
type answer struct {
	status int
	kind   string // Content-Type
	body   []byte
}

// post sends a body of JSON and reads at most so many bytes of the answer.
func (w *web) post(ctx context.Context, body []byte, header http.Header, most int64) (answer, error) {
	secret, err := w.spec.headers()
	if err != nil {
		return answer{}, &Error{Code: "config", Err: err}
	}
	if w.spec.Gzip {
		body = zipped(body)
		header.Set("Content-Encoding", "gzip")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return answer{}, &Error{Code: "config", Err: err}
	}
	req.Header = secret
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := w.client.Do(req)
	if err != nil {
		err = netcode.WhyHTTP(ctx, w.client.Transport.(*http.Transport), req.URL, err)
		return answer{}, &Error{Code: netcode.Of(err), Err: err}
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, kind: resp.Header.Get("Content-Type")}
	if a.status < 200 || a.status > 299 {
		return a, refusal(resp)
	}
	if a.body, err = io.ReadAll(io.LimitReader(resp.Body, most+1)); err != nil {
		return a, &Error{Code: netcode.Of(err), Err: fmt.Errorf("read the answer: %w", err)}
	}
	if int64(len(a.body)) > most {
		return a, &Error{Code: "answer", Err: fmt.Errorf("the answer has more than %d bytes", most)}
	}
	return a, nil
}

func zipped(body []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(body) // a buffer takes everything
	_ = z.Close()
	return b.Bytes()
}

// refusal gives a word for a status that is no success. Nothing of the body is read.
func refusal(resp *http.Response) error {
	e := &Error{Code: "answer", Err: fmt.Errorf("the receiver answers %d", resp.StatusCode)}
	switch s := resp.StatusCode; {
	case s >= 300 && s < 400:
		e.Code = "redirect"
	case s == 400 || s == 413 || s == 422:
		e.Code = "refused"
	case s == 401 || s == 403 || s == 407:
		e.Code = "denied"
	case s == 408 || s == 429 || s == 502 || s == 503 || s == 504:
		e.Code, e.RetryAfter = "busy", waitFor(resp.Header.Get("Retry-After"), time.Now())
	}
	return e
}

// waitFor reads Retry-After: seconds or a date.
func waitFor(s string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(s); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}

// tally is what became of the entries of one Send.
type tally struct {
	sent int
	Partial
}

// halves sends entries in one request, and where that is refused as a whole in ever smaller ones, so that one event that the
// receiver cannot read, or a limit of its own on size, does not hold up the others.
func (w *web) halves(ctx context.Context, es []encode.Entry, t *tally) error {
	err := w.send(ctx, es)
	part := (*Partial)(nil)
	switch {
	case err == nil:
		t.sent += len(es)
		return nil
	case errors.As(err, &part):
		t.sent += len(es) - len(part.Again) - len(part.Refused) - part.Lost
		t.add(part)
		return nil
	case codeOf(err) != "refused":
		t.Again, t.Err = append(t.Again, es...), err
		return err
	case len(es) == 1:
		t.add(&Partial{Refused: es, Err: err})
		return nil
	}
	half := len(es) / 2
	if err := w.halves(ctx, es[:half], t); err != nil {
		t.Again = append(t.Again, es[half:]...)
		return err
	}
	return w.halves(ctx, es[half:], t)
}

func (t *tally) add(p *Partial) {
	t.Again, t.Refused = append(t.Again, p.Again...), append(t.Refused, p.Refused...)
	t.Lost, t.Err = t.Lost+p.Lost, p.Err
}

// Send sends entries and sums up. Where the receiver took none, nothing counts as refused: it is then more likely to be the
// wrong receiver than that every event is wrong.
func (w *web) Send(ctx context.Context, es []encode.Entry) error {
	t := &tally{}
	_ = w.halves(ctx, es, t) // t.Err has it
	switch {
	case t.sent == len(es):
		return nil
	case t.sent == 0 && len(t.Refused) > 0:
		return &Error{Code: "refused", Err: fmt.Errorf("none of %d events was taken: %w", len(es), t.Err)}
	case t.sent == 0:
		return t.Err
	}
	return &t.Partial
}
