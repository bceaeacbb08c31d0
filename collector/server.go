package collector

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"stepaway/audit"
	"stepaway/uplink"
)

// Server answers couriers.
type Server struct {
	PKI PKI              // of the site; set before Serve
	Now func() time.Time // what certificates are judged by; a test sets its own before Serve
	// Taken is told after every batch that was stored; it must not wait. Set before Serve, or nil.
	Taken func()

	authority *Authority
	store     *Store
	log       *slog.Logger
	guests    time.Duration // how long a connection lives that shows no certificate
	busy      chan struct{} // one for each request of a device
	strangers chan struct{}
	bodies    atomic.Int64 // bytes of requests of devices
	places    places

	mu     sync.Mutex
	inside map[audit.Label]int // requests under way
}

// NewServer answers with the authority's keys from the store.
func NewServer(a *Authority, s *Store, log *slog.Logger) *Server {
	return &Server{authority: a, store: s, log: calm(log), Now: time.Now, guests: uplink.StrangerTime, busy: make(chan struct{}, maxAtOnce),
		strangers: make(chan struct{}, maxStrangers), inside: map[audit.Label]int{}, places: places{last: map[audit.Label]told{}}}
}

// Check says whether there is all that Serve needs.
func (s *Server) Check() error {
	_, err := s.tlsConfig()
	return err
}

// Serve answers on l until ctx is done, then finishes what it has begun, for 10 seconds at most. It speaks HTTP/2 over
// TLS 1.3 and nothing else.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	config, err := s.tlsConfig()
	if err != nil {
		l.Close()
		return err
	}
	h := &http.Server{
		Handler: s.routes(), TLSConfig: config, MaxHeaderBytes: uplink.MaxHeader, Protocols: new(http.Protocols),
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: uplink.ExchangeTime, WriteTimeout: 2 * uplink.ExchangeTime,
		IdleTimeout: 2 * time.Minute, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 8, MaxReceiveBufferPerConnection: maxUnread, MaxReceiveBufferPerStream: maxUnread},
	}
	h.Protocols.SetHTTP2(true)
	ended := make(chan error, 1)
	go func() {
		ended <- h.ServeTLS(newDoor(l, s.guests), "", "")
	}()
	select {
	case err := <-ended:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err = h.Shutdown(stop)
	<-ended
	return errors.Join(err, h.Close())
}

func (s *Server) events(r *http.Request, by caller) (any, error) {
	var b uplink.Batch
	if err := uplink.Decode(r.Body, uplink.MaxBatch, &b); err != nil {
		return nil, malformed(err)
	}
	if b.Device != by.device {
		return nil, refuse(http.StatusForbidden, uplink.CodeDevice, errors.New("batch of another device"))
	}
	a, boot, err := s.arrival(b)
	if err != nil {
		return nil, err
	}
	t, err := s.store.take(r.Context(), a)
	if err != nil {
		return nil, err
	}
	if s.Taken != nil {
		s.Taken()
	}
	s.sighted(r.Context(), by, Sighting{Epoch: b.Epoch, Boot: boot, Fork: len(t.aside) > 0})
	ack := uplink.Ack{Device: by.device, Epoch: b.Epoch, Last: t.held.Last, Hash: t.held.Hash}
	return ack.Sign(s.authority.AckKey), nil
}

// arrival checks a batch: every event by itself, and that it is of this device and epoch and without holes. boot is
// that of the last event.
func (s *Server) arrival(b uplink.Batch) (a Arrival, boot string, err error) {
	a = Arrival{Device: b.Device, Epoch: b.Epoch, Received: s.Now().UTC()}
	if len(b.Events) == 0 || len(b.Events) > uplink.MaxEvents {
		return a, "", malformed(fmt.Errorf("%d events, want 1 to %d", len(b.Events), uplink.MaxEvents))
	}
	for _, body := range b.Events {
		e, err := audit.Decode(body)
		if err != nil {
			return a, "", refuse(http.StatusBadRequest, uplink.CodeEvent, err)
		}
		if e.Device != b.Device || e.Epoch != b.Epoch || len(e.Epoch) != 16 {
			return a, "", malformed(errors.New("event of another device or epoch"))
		}
		if n := len(a.Events); e.Seq == 0 || e.Seq > 1<<62 || n > 0 && e.Seq != a.Events[n-1].Seq+1 {
			return a, "", malformed(fmt.Errorf("event number %d out of turn", e.Seq))
		}
		a.Events = append(a.Events, Event{Record: audit.Record{Seq: e.Seq, Hash: audit.Hash(body), Body: body},
			Prev: e.Prev, Type: e.Type, Wall: e.Wall})
		boot = e.Boot
	}
	if k := b.Acked; k != nil && k.Device == b.Device && k.Epoch == b.Epoch && k.Verify(s.authority.ackKey()) {
		a.Proved = Held{Last: k.Last, Hash: k.Hash}
	}
	return a, boot, nil
}

func (s *Server) about(_ *http.Request, by caller) (any, error) {
	return uplink.About{Device: by.device, AckKey: base64.StdEncoding.EncodeToString(s.authority.ackKey())}, nil
}

func (s *Server) time(r *http.Request, by caller) (any, error) {
	nonce := r.URL.Query().Get("nonce")
	if err := uplink.CheckNonce(nonce); err != nil {
		return nil, malformed(err)
	}
	return uplink.Time{Nonce: nonce, Unix: by.at.Unix()}.Sign(s.authority.AckKey), nil
}

func (s *Server) enroll(r *http.Request, by caller) (any, error) {
	var ask uplink.Enroll
	if err := uplink.Decode(r.Body, uplink.MaxAsk, &ask); err != nil {
		return nil, malformed(err)
	}
	csr, err := parseCSR(ask.CSR)
	if err == nil && ask.Secret == "" {
		err = errors.New("no secret")
	}
	if err != nil {
		return nil, malformed(err)
	}
	if by.device, err = s.store.UseToken(r.Context(), secretHash(ask.Secret), s.Now()); errors.Is(err, ErrToken) {
		return nil, refuse(http.StatusForbidden, uplink.CodeToken, err)
	}
	if err != nil {
		return nil, err
	}
	granted, id, err := s.grant(r.Context(), by, csr)
	if errors.Is(err, ErrRevoked) { // between the token's use and now
		return nil, refuse(http.StatusForbidden, uplink.CodeToken, err)
	}
	if err != nil {
		return nil, err
	}
	if err := s.store.Record(r.Context(), audit.CertificateIssued, audit.Facts{Key: by.device, Ref: audit.MakeLabel(id)}, s.Now()); err != nil {
		s.log.Error("own event not stored", "err", err)
	}
	return granted, nil
}

func (s *Server) renew(r *http.Request, by caller) (any, error) {
	var ask uplink.Renew
	if err := uplink.Decode(r.Body, uplink.MaxAsk, &ask); err != nil {
		return nil, malformed(err)
	}
	csr, err := parseCSR(ask.CSR)
	if err != nil {
		return nil, malformed(err)
	}
	if !s.issued(by.leaf) {
		return nil, refuse(http.StatusForbidden, uplink.CodeDevice, errors.New("certificate was not issued here, so it is not renewed here"))
	}
	granted, _, err := s.grant(r.Context(), by, csr)
	if errors.Is(err, ErrRevoked) {
		return nil, refuse(http.StatusForbidden, uplink.CodeRevoked, err)
	}
	return granted, err
}

// grant issues a certificate, which the store has noted before it is handed out.
func (s *Server) grant(ctx context.Context, by caller, csr *x509.CertificateRequest) (any, string, error) {
	der, err := s.authority.Issue(by.device, csr, s.Now())
	if err != nil {
		return nil, "", err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, "", err
	}
	c := certificateOf(by.device, leaf)
	c.Issued = s.Now()
	if err := s.store.Issued(ctx, c, by.cert.ID, by.at); err != nil {
		return nil, "", err
	}
	s.log.Info("certificate issued", "device", by.device, "certificate", c.ID[:16], "until", c.Until)
	return uplink.Granted{
		Device: by.device,
		Cert:   string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		CA:     string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.authority.CA.Raw})),
		AckKey: base64.StdEncoding.EncodeToString(s.authority.ackKey()),
	}, c.ID, nil
}

// parseCSR reads a request signed by a P-256 or Ed25519 key.
func parseCSR(text string) (*x509.CertificateRequest, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return nil, errors.New("no certificate request")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("certificate request: %w", err)
	}
	switch k := csr.PublicKey.(type) {
	case ed25519.PublicKey:
	case *ecdsa.PublicKey:
		if k.Curve.Params().BitSize < 256 {
			return nil, errors.New("certificate request: key too small")
		}
	default:
		return nil, errors.New("certificate request: kind of key not taken")
	}
	return csr, csr.CheckSignature()
}

func secretHash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// NewToken makes a one-time token for a device, valid from now for ttl. Only the hash of its secret is stored.
func NewToken(ctx context.Context, a *Authority, s *Store, device audit.Label, url string, ttl time.Duration, now time.Time) (uplink.Token, error) {
	if err := uplink.CheckDevice(device); err != nil {
		return uplink.Token{}, err
	}
	t := uplink.Token{Device: device, CA: a.Fingerprint(), Secret: rand.Text(), URL: url, From: now.Unix(), Until: now.Add(ttl).Unix() + 1}
	err := s.AddToken(ctx, Token{Hash: secretHash(t.Secret), Device: device, Expires: now.Add(ttl)})
	if err != nil {
		return uplink.Token{}, fmt.Errorf("store the token for %s: %w", device, err)
	}
	return t, nil
}
