package courier

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// proxy is an HTTP proxy that knows CONNECT. Every name is this machine.
type proxy struct {
	l    net.Listener
	mu   sync.Mutex
	head []string // what was asked for, headers too
	raw  []byte   // what went through to the server first
	wg   sync.WaitGroup
}

// newProxy answers with answer in place of its own word if that is not empty, and lies about the server if lie is set.
func newProxy(t *testing.T, config *tls.Config, answer func(net.Conn)) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if config != nil {
		l = tls.NewListener(l, config)
	}
	p := &proxy{l: l}
	p.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { defer c.Close(); p.serve(c, answer) })
		}
	})
	t.Cleanup(func() { l.Close(); p.wg.Wait() })
	return p
}

func (p *proxy) serve(c net.Conn, answer func(net.Conn)) {
	c.SetDeadline(time.Now().Add(30 * time.Second))
	req, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return
	}
	p.mu.Lock()
	p.head = append(p.head, req.Method+" "+req.RequestURI)
	for name := range req.Header {
		p.head = append(p.head, name)
	}
	p.mu.Unlock()
	if answer != nil {
		answer(c)
		return
	}
	_, port, _ := net.SplitHostPort(req.RequestURI)
	to, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		fmt.Fprint(c, "HTTP/1.1 502 Bad Gateway\r\n\r\n")
		return
	}
	defer to.Close()
	fmt.Fprint(c, "HTTP/1.1 200 Connection established\r\n\r\n")
	p.wg.Go(func() { defer c.Close(); io.Copy(c, to) })
	io.Copy(to, io.TeeReader(c, p))
}

// Write keeps what goes to the server.
func (p *proxy) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.raw = append(p.raw, b...)
	return len(b), nil
}

func (p *proxy) asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.head)
}

// through sends three events to the collector of w at url, by the proxy, under a name that only the proxy knows.
func (w *world) through(t *testing.T, at string, p string, timeout time.Duration) error {
	t.Helper()
	c, err := NewClient(w.id, ClientOptions{URL: at, Proxy: p, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	rs := records(t, 11, 3)
	_, err = c.Send(context.Background(), batchOf(rs), rs)
	return err
}

// foreign is the URL of a server here by the name of one elsewhere.
func foreign(t *testing.T, here string) string {
	u, err := url.Parse(here)
	if err != nil {
		t.Fatal(err)
	}
	return "https://collector.clinic.example:" + u.Port()
}

func (w *world) named(t *testing.T) string {
	cert := w.ca.issue(t, named("collector.clinic.example"))
	return foreign(t, w.serve(t, &tls.Config{Certificates: []tls.Certificate{cert}}, w.answerGood))
}

func TestThroughAProxy(t *testing.T) {
	noLeaks(t)
	w := newWorld(t)
	at := w.named(t)
	p := newProxy(t, nil, nil)
	if err := w.through(t, at, "http://"+p.l.Addr().String(), 20*time.Second); err != nil {
		t.Fatal(err)
	}
	if head := p.asked(); len(head) != 1 || head[0] != "CONNECT "+strings.TrimPrefix(at, "https://") {
		t.Errorf("the proxy saw %q", head)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.raw[0] != 0x16 || strings.Contains(string(p.raw), "lock.proved") {
		t.Errorf("not TLS from end to end: %.20x", p.raw)
	}
}

// TestHTTPSProxy: the proxy's own certificate is checked, by other CAs than the collector's.
func TestHTTPSProxy(t *testing.T) {
	noLeaks(t)
	w, site, other := newWorld(t), newCA(t, nil, nil), newCA(t, nil, nil)
	u, err := url.Parse(w.named(t))
	if err != nil {
		t.Fatal(err)
	}
	p := newProxy(t, &tls.Config{Certificates: []tls.Certificate{site.issue(t, nil)}}, nil)
	to := tunnel{proxy: &url.URL{Scheme: "https", Host: p.l.Addr().String()}, timeout: 10 * time.Second}
	for ca, good := range map[*testCA]bool{site: true, other: false, w.ca: false} {
		to.roots = ca.pool()
		c, err := to.dial(context.Background(), "tcp", u.Host)
		if (err == nil) != good {
			t.Errorf("good %v: %v", good, err)
		}
		if err == nil {
			s := tls.Client(c, &tls.Config{RootCAs: w.ca.pool(), ServerName: u.Hostname(), NextProtos: []string{"h2"}})
			if err := s.Handshake(); err != nil {
				t.Error(err)
			}
			s.Close()
		}
	}
}

// TestHostileProxies: what a proxy does in place of letting us through is said to be the proxy's, and ends in time.
func TestHostileProxies(t *testing.T) {
	noLeaks(t)
	w := newWorld(t)
	at := w.named(t)
	text := func(s string) func(net.Conn) { return func(c net.Conn) { io.WriteString(c, s) } }
	for name, c := range map[string]struct {
		answer func(net.Conn)
		code   string
	}{
		"wants a password": {text("HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n"), "proxy"},
		"redirects":        {text("HTTP/1.1 302 Found\r\nLocation: https://example.net/\r\n\r\n"), "proxy"},
		"refuses":          {text("HTTP/1.1 403 Forbidden\r\n\r\n"), "proxy"},
		"garbage":          {text("\x00\x01\x02\r\n\r\n"), "proxy"},
		"endless":          {func(c net.Conn) { io.Copy(c, endless{}) }, "proxy"},
		"says more":        {text("HTTP/1.1 200 OK\r\n\r\nSSH-2.0-x\r\n"), "proxy|tls"},
		"hangs up":         {func(net.Conn) {}, "proxy"},
		"silent":           {func(c net.Conn) { io.Copy(io.Discard, c) }, "proxy|slow"},
		"lets us through to nothing": {func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
			io.Copy(io.Discard, c)
		}, "slow|tls"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProxy(t, nil, c.answer)
			began := time.Now()
			err := w.through(t, at, "http://"+p.l.Addr().String(), 2*time.Second)
			if err == nil || !strings.Contains("|"+c.code+"|", "|"+codeOf(err)+"|") {
				t.Errorf("code %s, want %s: %v", codeOf(err), c.code, err)
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		if err := w.through(t, at, "http://127.0.0.1:1", 2*time.Second); codeOf(err) != "proxy" {
			t.Errorf("%v", err)
		}
	})
	t.Run("shows its own certificate for the collector's", func(t *testing.T) {
		other := newCA(t, nil, nil)
		p := newProxy(t, nil, func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
			tls.Server(c, &tls.Config{Certificates: []tls.Certificate{other.issue(t, named("collector.clinic.example"))}}).Handshake()
		})
		if err := w.through(t, at, "http://"+p.l.Addr().String(), 5*time.Second); codeOf(err) != "tls" {
			t.Errorf("%v", err)
		}
	})
}

// endless is a header that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	return copy(p, "HTTP/1.1 200 OK\r\nX: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\nX: "), nil
}

// TestNoProxyForThisMachine: what is on this machine needs none.
func TestNoProxyForThisMachine(t *testing.T) {
	noLeaks(t)
	w := newWorld(t)
	p := newProxy(t, nil, nil)
	here := w.serve(t, nil, w.answerGood)
	u, _ := url.Parse(here)
	for _, at := range []string{here, "https://localhost:" + u.Port()} {
		if err := w.through(t, at, "http://"+p.l.Addr().String(), 20*time.Second); err != nil {
			t.Errorf("%s: %v", at, err)
		}
	}
	if head := p.asked(); len(head) != 0 {
		t.Errorf("asked: %q", head)
	}
}

func TestProxiesThatAreNotTaken(t *testing.T) {
	w := newWorld(t)
	for _, p := range []string{"socks5://h:1", "http://h", "http://u:p@h:1", "http://h:1/x", "http://h:1?x", "http://h:1#x", "h:1", "%", "http://:1"} {
		if _, err := NewClient(w.id, ClientOptions{URL: "https://c:1", Proxy: p}); err == nil {
			t.Errorf("%q was taken", p)
		}
	}
}
