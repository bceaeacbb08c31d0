package courier

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"stepaway/clock"
	"stepaway/uplink"
)

// Clock tells the time by which certificates are judged: the collector's, from when it was first heard in this run, carried
// on by the time since boot. Until then it is the wall clock's, but never before the device's own certificate was issued.
type Clock struct {
	wall func() time.Time
	boot func() time.Duration

	mu      sync.Mutex
	floor   time.Time
	learned time.Time     // what the collector said, zero for nothing yet
	at      time.Duration // when, since boot
}

// NewClock makes a clock; nil functions are those of the system.
func NewClock(wall func() time.Time, boot func() time.Duration) *Clock {
	if wall == nil {
		wall = time.Now
	}
	if boot == nil {
		boot = clock.Now
	}
	return &Clock{wall: wall, boot: boot}
}

// Now is the time as well as it is known.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.learned.IsZero() {
		return c.learned.Add(c.boot() - c.at)
	}
	if now := c.wall(); now.After(c.floor) {
		return now
	}
	return c.floor
}

// Off is how far the wall clock is ahead of the collector's, or behind if negative. known is false until the collector was heard.
func (c *Clock) Off() (off time.Duration, known bool) {
	now := c.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wall().Sub(now), !c.learned.IsZero()
}

// learn takes over what the collector says, who is known to be the collector.
func (c *Clock) learn(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.learned, c.at = t, c.boot()
}

// notBefore says that it is later than t.
func (c *Clock) notBefore(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.After(c.floor) {
		c.floor = t
	}
}

// outOfTime reports whether a certificate was refused for nothing but the time, so that our clock may be what is wrong.
func outOfTime(err error) bool {
	var invalid x509.CertificateInvalidError
	return errors.As(err, &invalid) && invalid.Reason == x509.Expired
}

// askTime asks the collector what time it is, for when its certificate is not valid by our clock. The certificate is judged
// as of its own last day then, and what counts is the signature over the answer, by the key that enrolment gave: somebody
// who has no more than an old key of the server cannot turn our clock back to when that was good.
func (c *Client) askTime(ctx context.Context) error {
	var b [16]byte
	rand.Read(b[:])
	nonce := hex.EncodeToString(b[:])
	h := newHTTP(c.timeout, c.proxy, &tls.Config{
		InsecureSkipVerify: true, // the chain is verified below, at another time
		VerifyConnection: func(s tls.ConnectionState) error {
			return verifyServer(s, c.roots, s.PeerCertificates[0].NotAfter)
		},
	})
	defer h.CloseIdleConnections()
	var t uplink.Time
	if _, err := exchange(ctx, h, http.MethodGet, c.base+uplink.PathTime+"?nonce="+nonce, nil, &t); err != nil {
		return err
	}
	if !t.Verify(c.id.AckKey, nonce) {
		return &AnswerError{Code: "clock", Err: errors.New("what it says of the time is not signed by the collector enrolled at")}
	}
	c.clock.learn(time.Unix(t.Unix, 0))
	return nil
}

// verifyServer checks the chain and the name that a server shows, as of some time.
func verifyServer(s tls.ConnectionState, roots *x509.CertPool, at time.Time) error {
	between := x509.NewCertPool()
	for _, c := range s.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, DNSName: s.ServerName, CurrentTime: at})
	return err
}

// clockError says what a clock that is wrong leads to.
func (c *Client) clockError(err error) error {
	return &AnswerError{Code: "clock", Err: fmt.Errorf("the collector's certificate is not valid at %s, which is the time here: %w",
		c.clock.Now().UTC().Format(time.RFC3339), err)}
}
