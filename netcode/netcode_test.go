package netcode

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"sync/atomic"
	"testing"
)

// TestWhy: the peer's alert is heard behind a lost connection, and only there.
func TestWhy(t *testing.T) {
	lost := &url.Error{Op: "Get", URL: "https://x", Err: errors.New("http2: client conn could not be established")}
	late := fmt.Errorf("await: %w", context.DeadlineExceeded)
	for name, c := range map[string]struct {
		demanding bool // the receiver wants a certificate of its own CA
		err       error
		want      string
		asked     int32
	}{
		"refused":                {true, lost, "tls", 1},
		"taken":                  {false, lost, "unreachable", 1},
		"a reason already":       {true, tls.RecordHeaderError{Msg: "no TLS"}, "tls", 0},
		"late":                   {true, late, "slow", 0},
		"nobody there to begin":  {true, &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, "slow", 0},
		"no such name":           {true, &net.OpError{Op: "dial", Err: &net.DNSError{Name: "x"}}, "unreachable", 0},
		"cut off in the middle":  {true, io.ErrUnexpectedEOF, "tls", 1},
		"and that by the kernel": {true, &net.OpError{Op: "write", Err: errors.New("reset")}, "tls", 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewUnstartedServer(http.NotFoundHandler())
			s.EnableHTTP2 = true
			s.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
			if c.demanding {
				s.TLS.ClientAuth, s.TLS.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
			}
			s.Config.ErrorLog = log.New(io.Discard, "", 0)
			s.StartTLS()
			defer s.Close()
			to, err := url.Parse(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			var asked atomic.Int32
			tr := s.Client().Transport.(*http.Transport)
			tr.TLSClientConfig.Certificates = []tls.Certificate{s.TLS.Certificates[0]}
			tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				asked.Add(1)
				return (&net.Dialer{}).DialContext(ctx, network, address)
			}
			got := WhyHTTP(t.Context(), tr, to, c.err)
			if Of(got) != c.want || asked.Load() != c.asked || c.want != "tls" && got != c.err {
				t.Errorf("%v, asked %d times", got, asked.Load())
			}
		})
	}
}
