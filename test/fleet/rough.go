//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mrand "math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"stepaway/courier"
	"stepaway/uplink"
)

// Of the scenario rough.
const (
	roughGood   = 150 // devices that send
	roughBroken = 150 // clients that are slow or broken
	roughSlow   = 400 // devices on a line that carries a batch in six seconds: more than the collector works on at once
	roughBatch  = 20
	roughEvery  = time.Second
	slowly      = 6 * time.Second
)

// rough: good devices send once a second: alone, beside clients that are slow, broken or hostile, of whom most have a
// certificate, and beside honest devices on slow lines.
func (r *run) rough(ctx context.Context, store string) error {
	f, err := r.fleet(ctx, store)
	if err != nil {
		return err
	}
	return r.roughAt(ctx, f, roughGood, roughBroken, roughSlow)
}

func (r *run) roughAt(ctx context.Context, f *fleet, good, broken, slow int) error {
	v, err := f.site.serve(f.site.data, "")
	if err != nil {
		return err
	}
	defer f.site.stop()
	good = min(good, max(1, len(f.members)/2))
	others := f.members[good:]
	alone, err := r.paced(ctx, f, v, f.members[:good], "alone")
	if err != nil {
		return err
	}
	c := &crowd{address: strings.TrimPrefix(v.url, "https://"), url: v.url, keys: f.keys, thieves: others}
	beside, err := r.beside(ctx, f, v, good, "beside broken ones", func(ctx context.Context) { c.begin(ctx, broken) }, c.wg.Wait)
	if err != nil {
		return err
	}
	beside.Note = fmt.Sprintf("%d broken clients: %s", broken, c.summary())
	others = others[:min(slow, len(others))]
	lines := &meter{}
	patient, err := r.beside(ctx, f, v, good, "beside slow ones", func(ctx context.Context) { c.slow(ctx, others, lines) }, c.wg.Wait)
	if err == nil {
		err = all(others, func(_ int, m *member) error { return m.catchUp(ctx, v) })
	}
	if err != nil {
		return err
	}
	patient.Note = fmt.Sprintf("%d slow devices: %d batches, %d times told to come again", len(others), len(lines.took), lines.busy)
	if err := f.site.stop(); err != nil {
		return err
	}
	for _, line := range []*figures{&beside, &patient} {
		line.Ratio = line.P99 / alone.P99
		line.Note = "p99 to p99 alone; " + line.Note
	}
	r.say.line(alone)
	r.say.line(beside)
	return r.settled(f, patient)
}

// beside measures the good devices while others do as they do.
func (r *run) beside(ctx context.Context, f *fleet, v *serving, good int, part string, begin func(context.Context), wait func()) (figures, error) {
	bad, stop := context.WithCancel(ctx)
	defer wait()
	defer stop()
	begin(bad)
	pause(ctx, 2*time.Second) // until they have filled what they can fill
	return r.paced(ctx, f, v, f.members[:good], part)
}

// slow has devices send batches as over a slow line, until ctx is done.
func (c *crowd) slow(ctx context.Context, ms []*member, count *meter) {
	for _, m := range ms {
		b := m.say(0, roughBatch)
		c.wg.Go(func() {
			for ctx.Err() == nil {
				if p := b.Position(); p.Head == p.Acked {
					b.grow(roughBatch)
				}
				began := time.Now()
				status, err := c.sendSlowly(ctx, m, b)
				if ctx.Err() != nil {
					return
				}
				if status == http.StatusServiceUnavailable {
					err = &courier.AnswerError{Code: "busy", Err: errors.New("busy")}
				}
				count.note(roughBatch, time.Since(began), err)
				pause(ctx, mrand.N(time.Second))
			}
		})
	}
}

// sendSlowly sends one batch, which the collector may take although nobody waits for its answer any more.
func (c *crowd) sendSlowly(ctx context.Context, m *member, b *backlog) (status int, err error) {
	batch, err := b.next()
	if err != nil {
		return 0, err
	}
	whole, err := json.Marshal(batch)
	if err != nil {
		return 0, err
	}
	var ack uplink.Ack
	status, err = c.request(ctx, m, uplink.PathEvents, &body{ctx: ctx, rest: whole, part: max(1, len(whole)*int(pace)/int(slowly)), fail: io.EOF}, &ack)
	if err != nil || status != http.StatusOK {
		return status, err
	}
	return status, b.Ack(ack.Last, ack.Hash, ack.Sig)
}

// catchUp sends what is left of all epochs, over a good line.
func (m *member) catchUp(ctx context.Context, v *serving) error {
	p, err := m.peer(&meter{}, v.url)
	if err != nil {
		return err
	}
	defer p.close()
	for _, b := range m.said {
		if err := m.sendAll(ctx, b, p); err != nil {
			return err
		}
	}
	return nil
}

// paced has devices send a batch a second each, over a connection that stays.
func (r *run) paced(ctx context.Context, f *fleet, v *serving, ms []*member, part string) (figures, error) {
	ctx, cancel := context.WithTimeout(ctx, r.span+2*time.Minute) // who is not served by then never is
	defer cancel()
	count := &meter{}
	watch := v.watch(f.site)
	began := time.Now()
	end := began.Add(r.span)
	err := all(ms, func(_ int, m *member) error {
		b := m.say(0, roughBatch)
		p, err := m.peer(count, v.url)
		if err != nil {
			return err
		}
		defer p.close()
		next := time.Now().Add(mrand.N(roughEvery))
		for time.Now().Before(end) && ctx.Err() == nil {
			pause(ctx, time.Until(next))
			next = next.Add(roughEvery)
			b.grow(roughBatch)
			if err := m.sendAll(ctx, b, p); err != nil {
				return err
			}
		}
		return m.sendAll(ctx, b, p)
	})
	line := watch.end(count.figures("rough", f.site.kind, len(ms), time.Since(began)))
	line.Part = part
	if err != nil {
		err = fmt.Errorf("%s: %d batches were taken, %d times good devices were told to come again: %w", part, len(count.took), count.busy, context.Cause(ctx))
	}
	return line, err
}

// crowd are the clients that do not behave.
type crowd struct {
	address, url string
	keys         string
	thieves      []*member // whose certificates some of them have
	wg           sync.WaitGroup
	tries        []atomic.Int64 // of each misdeed
}

// misdeeds are what they do, over and over.
var misdeeds = [...]struct {
	name string
	do   func(*crowd, context.Context, *member)
}{
	{"silent", (*crowd).silent},
	{"slow handshake", (*crowd).slowHandshake},
	{"no TLS", (*crowd).noTLS},
	{"reset in the handshake", (*crowd).resetInHandshake},
	{"garbage after the handshake", (*crowd).garbage},
	{"slow headers", (*crowd).slowHeaders},
	{"slow body", (*crowd).slowBody},
	{"half a batch, then nothing", (*crowd).halfThenNothing},
	{"half a batch, then a reset", (*crowd).halfThenReset},
	{"malformed batch", (*crowd).malformed},
	{"batch of another device", (*crowd).another},
	{"stranger who enrolls", (*crowd).enroll},
}

// begin starts n of them, until ctx is done.
func (c *crowd) begin(ctx context.Context, n int) {
	c.tries = make([]atomic.Int64, len(misdeeds))
	for i := range n {
		kind, thief := i%len(misdeeds), c.thieves[i%len(c.thieves)]
		c.wg.Go(func() {
			for ctx.Err() == nil {
				c.tries[kind].Add(1)
				misdeeds[kind].do(c, ctx, thief)
				pause(ctx, 200*time.Millisecond+mrand.N(400*time.Millisecond))
			}
		})
	}
}

func (c *crowd) summary() string {
	var parts []string
	for i, m := range misdeeds {
		parts = append(parts, fmt.Sprintf("%s %d", m.name, c.tries[i].Load()))
	}
	return strings.Join(parts, ", ")
}

// dial opens a connection that ends with ctx.
func (c *crowd) dial(ctx context.Context) (*net.TCPConn, func()) {
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp", c.address)
	if err != nil {
		return nil, func() {}
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	return conn.(*net.TCPConn), func() { stop(); conn.Close() }
}

// config shows a device's certificate, which was stolen.
func (c *crowd) config(thief *member) *tls.Config {
	path := filepath.Join(c.keys, string(thief.name), "device.pem")
	pair, err := tls.LoadX509KeyPair(path, path)
	if err != nil {
		panic(err) // the file was written by this program
	}
	return &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}}
}

func (c *crowd) secure(ctx context.Context, thief *member) (*tls.Conn, func()) {
	conn, done := c.dial(ctx)
	if conn == nil {
		return nil, done
	}
	s := tls.Client(conn, c.config(thief))
	if s.HandshakeContext(ctx) != nil {
		done()
		return nil, func() {}
	}
	return s, done
}

// patience is how long those wait who wait for the collector to give up on them.
const patience = 40 * time.Second

func drain(conn net.Conn) {
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	_, _ = io.Copy(io.Discard, conn)
}

func (c *crowd) silent(ctx context.Context, _ *member) {
	if conn, done := c.dial(ctx); conn != nil {
		defer done()
		drain(conn)
	}
}

// trickle writes a byte at a time until the other end has had enough.
func trickle(ctx context.Context, w io.Writer, body []byte) {
	for _, b := range body {
		if _, err := w.Write([]byte{b}); err != nil {
			return
		}
		if pause(ctx, 200*time.Millisecond); ctx.Err() != nil {
			return
		}
	}
}

func (c *crowd) slowHandshake(ctx context.Context, _ *member) {
	if conn, done := c.dial(ctx); conn != nil {
		defer done()
		// A record of a handshake, with a hello of 512 bytes to follow.
		trickle(ctx, conn, append([]byte{22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3}, make([]byte, 500)...))
	}
}

func (c *crowd) noTLS(ctx context.Context, _ *member) {
	if conn, done := c.dial(ctx); conn != nil {
		defer done()
		_, _ = conn.Write([]byte("GET / HTTP/1.1\r\nHost: collector\r\n\r\n" + rand.Text()))
		drain(conn)
	}
}

// cut lets through so many bytes that were read, and then the connection is reset.
type cut struct {
	*net.TCPConn
	left int
}

func (c *cut) Read(p []byte) (int, error) {
	if c.left <= 0 {
		_ = c.SetLinger(0)
		c.TCPConn.Close()
		return 0, errors.New("cut")
	}
	n, err := c.TCPConn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

func (c *crowd) resetInHandshake(ctx context.Context, thief *member) {
	if conn, done := c.dial(ctx); conn != nil {
		defer done()
		_ = tls.Client(&cut{conn, 200}, c.config(thief)).HandshakeContext(ctx)
	}
}

func (c *crowd) garbage(ctx context.Context, thief *member) {
	if conn, done := c.secure(ctx, thief); conn != nil {
		defer done()
		junk := make([]byte, 4096)
		rand.Read(junk)
		_, _ = conn.Write(junk)
		drain(conn)
	}
}

func (c *crowd) slowHeaders(ctx context.Context, thief *member) {
	if conn, done := c.secure(ctx, thief); conn != nil {
		defer done()
		_, _ = conn.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"))
		trickle(ctx, conn, append([]byte{0, 1, 0, 1, 0, 0, 0, 0, 1}, make([]byte, 256)...)) // HEADERS, 256 bytes
	}
}

// request posts a body to a path as a device, and answers the status, and the answer if there is one to be had.
func (c *crowd) request(ctx context.Context, thief *member, path string, content io.Reader, answer any) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	only2 := new(http.Protocols)
	only2.SetHTTP2(true)
	config := &tls.Config{InsecureSkipVerify: true}
	if thief != nil {
		config = c.config(thief)
	}
	t := &http.Transport{TLSClientConfig: config, Protocols: only2}
	defer t.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+path, content)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	if b, ok := content.(*body); ok && b.fail == io.EOF {
		req.ContentLength = int64(len(b.rest)) // as a courier says
	}
	resp, err := t.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if answer != nil && resp.StatusCode == http.StatusOK {
		return resp.StatusCode, uplink.Decode(resp.Body, uplink.MaxAnswer, answer)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// pace is the time between two parts of a body.
const pace = 500 * time.Millisecond

// body gives its bytes at once or in parts, and then an error, or a byte now and then.
type body struct {
	ctx  context.Context
	rest []byte
	part int // bytes at a time; 0 for all at once
	fail error
	more bool
}

func (b *body) Read(p []byte) (int, error) {
	if len(b.rest) == 0 && b.fail != nil {
		return 0, b.fail
	}
	if b.part > 0 || len(b.rest) == 0 {
		if pause(b.ctx, pace); b.ctx.Err() != nil {
			return 0, b.ctx.Err()
		}
	}
	switch {
	case len(b.rest) > 0 && b.part > 0:
		p = p[:min(len(p), b.part)]
	case len(b.rest) == 0 && b.more:
		p[0] = ' '
		return 1, nil
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (c *crowd) slowBody(ctx context.Context, thief *member) {
	_, _ = c.request(ctx, thief, uplink.PathEvents, &body{ctx: ctx, more: true}, nil)
}

func (c *crowd) halfThenNothing(ctx context.Context, thief *member) {
	_, _ = c.request(ctx, thief, uplink.PathEvents, &body{ctx: ctx, rest: c.half(thief)}, nil)
}

func (c *crowd) halfThenReset(ctx context.Context, thief *member) {
	_, _ = c.request(ctx, thief, uplink.PathEvents, &body{ctx: ctx, rest: c.half(thief), fail: errors.New("reset")}, nil)
}

func (c *crowd) malformed(ctx context.Context, thief *member) {
	whole := c.batch(thief)
	whole[mrand.IntN(len(whole))] ^= 1 << mrand.IntN(7)
	_, _ = c.request(ctx, thief, uplink.PathEvents, bytes.NewReader(append(whole, '}')), nil)
}

func (c *crowd) another(ctx context.Context, thief *member) {
	other := c.thieves[(slices.Index(c.thieves, thief)+1)%len(c.thieves)]
	if other == thief {
		other = &member{name: "ws-other", boot: word()}
	}
	_, _ = c.request(ctx, thief, uplink.PathEvents, bytes.NewReader(c.batch(other)), nil)
}

func (c *crowd) enroll(ctx context.Context, _ *member) {
	ask, _ := json.Marshal(uplink.Enroll{Secret: rand.Text(), CSR: "-----BEGIN CERTIFICATE REQUEST-----"})
	_, _ = c.request(ctx, nil, uplink.PathEnroll, bytes.NewReader(ask), nil)
}

func (c *crowd) half(thief *member) []byte {
	whole := c.batch(thief)
	return whole[:len(whole)/2]
}

// batch is a good one, in an epoch that nobody hears of in the end.
func (c *crowd) batch(m *member) []byte {
	batch, _ := (&member{name: m.name, boot: m.boot, said: map[string]*backlog{}}).say(weekBatch, weekBatch).next()
	whole, _ := json.Marshal(batch)
	return whole
}
