package sink

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"stepaway/audit"
	"stepaway/netcode"
	"stepaway/sink/encode"
)

// syslogTo sends each batch on a connection of its own, since the end of a connection is the only thing that RFC 5425 has
// the receiver answer.
type syslogTo struct {
	address string
	config  *tls.Config
	encode  func(encode.Entry) ([]byte, error)
	ack     string
	limit   time.Duration
}

func newSyslog(s Spec) (Sink, error) {
	config, err := s.tlsConfig()
	if err != nil {
		return nil, fmt.Errorf("sink %s: %w", s.Name, err)
	}
	host, _ := os.Hostname()
	format := encode.Syslog{Enterprise: s.Enterprise, Host: string(audit.MakeLabel(host))}
	port := s.URL.Port()
	if port == "" {
		port = "6514"
	}
	to := &syslogTo{address: net.JoinHostPort(s.URL.Hostname(), port), config: config, ack: s.Ack, limit: sendLimit,
		encode: func(e encode.Entry) ([]byte, error) { return format.Message(e), nil }}
	if s.Kind == ATNA {
		to.encode = format.ATNA
	}
	return to, nil
}

func (s *syslogTo) Close() {}

func (s *syslogTo) Send(ctx context.Context, es []encode.Entry) error {
	var frames bytes.Buffer
	for _, e := range es {
		m, err := s.encode(e)
		if err != nil {
			return &Error{Code: "config", Err: err}
		}
		encode.Frame(&frames, m)
	}
	ctx, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	c, err := s.dial(ctx)
	if err != nil {
		return err
	}
	defer c.raw.Close()
	defer context.AfterFunc(ctx, func() { c.raw.Close() })()
	err = c.deliver(ctx, frames.Bytes(), s.ack)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &Error{Code: "slow", Err: fmt.Errorf("send to %s: %w", s.address, ctx.Err())}
	}
	if err == nil || codeOf(err) != "unreachable" {
		return err
	}
	if said := netcode.Why(ctx, s.connect, s.config, err); said != err {
		return &Error{Code: netcode.Of(said), Err: fmt.Errorf("TLS with %s: %w", s.address, said)}
	}
	return err
}

// conversation is one connection. Its reading side is watched from the start: whatever the receiver says before the end,
// above all that it refuses our certificate, comes there.
type conversation struct {
	raw   net.Conn
	seen  *watched
	tls   *tls.Conn
	heard chan error // what reading ended with
}

// watched remembers how the connection below TLS ended, since crypto/tls tells a bare FIN and close_notify alike.
type watched struct {
	net.Conn
	ended atomic.Bool
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if err != nil {
		w.ended.Store(true)
	}
	return n, err
}

func (s *syslogTo) connect(ctx context.Context) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", s.address)
}

func (s *syslogTo) dial(ctx context.Context) (*conversation, error) {
	raw, err := s.connect(ctx)
	if err != nil {
		return nil, &Error{Code: netcode.Of(err), Err: err}
	}
	w := &watched{Conn: raw}
	c := &conversation{raw: raw, seen: w, tls: tls.Client(w, s.config), heard: make(chan error, 1)}
	if err := c.tls.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, &Error{Code: netcode.Of(err), Err: fmt.Errorf("TLS with %s: %w", s.address, err)}
	}
	go func() { c.heard <- c.listen() }()
	return c, nil
}

// listen reads until the receiver ends the connection. A syslog receiver has nothing to say.
func (c *conversation) listen() error {
	n, err := c.tls.Read(make([]byte, 1))
	if n > 0 {
		return &Error{Code: "answer", Err: errors.New("the receiver talks, which no syslog receiver does")}
	}
	return err
}

// deliver writes, ends our side and judges how the receiver ends its own.
func (c *conversation) deliver(ctx context.Context, frames []byte, ack string) error {
	if _, err := c.tls.Write(frames); err != nil {
		return c.broken(err)
	}
	// What a receiver has not read when it closes is answered with a reset, once it has reached the receiver's machine. So
	// the end is said only then: an end in order then means that all was read.
	if err := c.flushed(ctx); err != nil {
		return c.broken(err)
	}
	select {
	case err := <-c.heard:
		c.heard <- err
		return c.broken(err)
	default:
	}
	if ack == AckNone {
		return c.quiet(ctx)
	}
	if err := c.tls.CloseWrite(); err != nil {
		return c.broken(err)
	}
	select {
	case err := <-c.heard:
		return c.judge(err, ack)
	case <-ctx.Done():
		return c.broken(ctx.Err())
	}
}

// grace is how long a receiver of which no answer is expected has to object.
const grace = 500 * time.Millisecond

func (c *conversation) quiet(ctx context.Context) error {
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case err := <-c.heard:
		c.heard <- err
		return c.broken(err)
	case <-ctx.Done():
		return c.broken(ctx.Err())
	case <-t.C:
		return c.tls.CloseWrite()
	}
}

// judge decides whether the end of the connection is the acknowledgement that the site asks for.
func (c *conversation) judge(err error, ack string) error {
	if !errors.Is(err, io.EOF) {
		return c.because(err)
	}
	if c.seen.ended.Load() { // a bare FIN
		if ack == AckFIN {
			return nil
		}
		return &Error{Code: "closed", Err: errors.New("the receiver ended the connection without close_notify; if it always does, say ack: fin")}
	}
	return c.lastReset()
}

// lastReset looks for a reset behind the receiver's close_notify. One that leaves the connection open has read all the same.
func (c *conversation) lastReset() error {
	_ = c.raw.SetReadDeadline(time.Now().Add(grace))
	_, err := io.CopyN(io.Discard, c.raw, maxAnswer)
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return c.because(err)
}

// broken prefers what the receiver said to what our write met with.
func (c *conversation) broken(err error) error {
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case heard := <-c.heard:
		if errors.Is(heard, io.EOF) {
			return &Error{Code: "closed", Err: errors.New("the receiver ended the connection before it had everything")}
		}
		err = heard
	case <-t.C:
	}
	return c.because(err)
}

func (c *conversation) because(err error) error {
	if e := (*Error)(nil); errors.As(err, &e) {
		return e
	}
	return &Error{Code: netcode.Of(err), Err: fmt.Errorf("syslog over TLS: %w", err)}
}
