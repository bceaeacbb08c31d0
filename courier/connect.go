package courier

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// tunnel dials through a proxy that the policy names: HTTP CONNECT, so that TLS goes from end to end and the proxy sees
// the collector's name and nothing else. Of an https proxy the system's CAs vouch for the certificate.
type tunnel struct {
	proxy   *url.URL // nil: none
	timeout time.Duration
	roots   *x509.CertPool // for an https proxy; nil: the system's
}

// parseProxy takes http://HOST:PORT and https://HOST:PORT and nothing more.
func parseProxy(s string) (*url.URL, error) {
	if s == "" {
		return nil, nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Port() == "" || u.User != nil ||
		u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/" {
		return nil, fmt.Errorf("proxy %q: want http://HOST:PORT or https://HOST:PORT", s)
	}
	return u, nil
}

func (t tunnel) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := &net.Dialer{Timeout: t.timeout}
	if t.proxy == nil || loopback(address) {
		return d.DialContext(ctx, network, address)
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	c, err := t.reach(ctx, d)
	if err == nil {
		err = connect(ctx, c, address)
	}
	if err != nil {
		if c != nil {
			c.Close()
		}
		return nil, &AnswerError{Code: "proxy", Err: fmt.Errorf("proxy %s: %w", t.proxy.Host, err)}
	}
	return c, nil
}

// loopback reports whether an address is this machine's own, which no proxy is asked for.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

func (t tunnel) reach(ctx context.Context, d *net.Dialer) (net.Conn, error) {
	c, err := d.DialContext(ctx, "tcp", t.proxy.Host)
	if err != nil || t.proxy.Scheme == "http" {
		return c, err
	}
	s := tls.Client(c, &tls.Config{ServerName: t.proxy.Hostname(), MinVersion: tls.VersionTLS12, RootCAs: t.roots})
	return s, s.HandshakeContext(ctx)
}

// maxProxyAnswer is the longest answer of a proxy in bytes.
const maxProxyAnswer = 16 << 10

func connect(ctx context.Context, c net.Conn, address string) error {
	defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })()
	if _, err := fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", address, address); err != nil {
		return err
	}
	r := bufio.NewReader(&io.LimitedReader{R: c, N: maxProxyAnswer})
	resp, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	switch {
	case err != nil:
		return fmt.Errorf("its answer: %w", err)
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("it answers %d to CONNECT %s", resp.StatusCode, address)
	case r.Buffered() > 0: // TLS begins with us
		return errors.New("it says more than its answer")
	}
	return ctx.Err()
}
