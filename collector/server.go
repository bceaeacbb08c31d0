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
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"stepaway/audit"
	"stepaway/uplink"
)

// maxAtOnce is how many requests are worked on at once; others are told to come again.
const maxAtOnce = 256

// Server answers couriers.
type Server struct {
	authority *Authority
	store     Store
	log       *slog.Logger
	now       func() time.Time
	busy      chan struct{}
}

// NewServer answers with the authority's keys from the store.
func NewServer(a *Authority, s Store, log *slog.Logger) *Server {
	return &Server{authority: a, store: s, log: log, now: time.Now, busy: make(chan struct{}, maxAtOnce)}
}

// Serve answers on l until ctx is done, then finishes what it has begun, for 10 seconds at most.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	config, err := s.authority.tlsConfig()
	if err != nil {
		l.Close()
		return err
	}
	h := &http.Server{
		Handler: s.routes(), TLSConfig: config, MaxHeaderBytes: 16 << 10,
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 60 * time.Second,
		IdleTimeout: 2 * time.Minute, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	ended := make(chan error, 1)
	go func() { ended <- h.ServeTLS(l, "", "") }()
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

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+uplink.PathEnroll, s.enroll)
	mux.HandleFunc("POST "+uplink.PathRenew, s.asDevice(s.renew))
	mux.HandleFunc("POST "+uplink.PathEvents, s.asDevice(s.events))
	mux.HandleFunc("GET "+uplink.PathHealth, s.asDevice(s.health))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case s.busy <- struct{}{}:
			defer func() { <-s.busy }()
			mux.ServeHTTP(w, r)
		default:
			s.refuse(w, r, http.StatusServiceUnavailable, uplink.CodeBusy, nil)
		}
	})
}

// asDevice lets in who shows a certificate of this CA, and names him by it.
func (s *Server) asDevice(f func(http.ResponseWriter, *http.Request, audit.Label)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
			s.refuse(w, r, http.StatusUnauthorized, uplink.CodeDevice, errors.New("no certificate shown"))
			return
		}
		device := audit.Label(r.TLS.PeerCertificates[0].Subject.CommonName)
		if err := uplink.CheckDevice(device); err != nil {
			s.refuse(w, r, http.StatusForbidden, uplink.CodeDevice, err)
			return
		}
		f(w, r, device)
	}
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request, _ audit.Label) {
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) events(w http.ResponseWriter, r *http.Request, device audit.Label) {
	var b uplink.Batch
	if err := uplink.Decode(r.Body, uplink.MaxBatch, &b); err != nil {
		s.refuse(w, r, http.StatusBadRequest, uplink.CodeMalformed, err)
		return
	}
	if b.Device != device {
		s.refuse(w, r, http.StatusForbidden, uplink.CodeDevice, errors.New("batch of another device"))
		return
	}
	a, err := s.arrival(b)
	if err != nil {
		s.refuse(w, r, http.StatusBadRequest, uplink.CodeMalformed, err)
		return
	}
	held, err := s.store.Take(r.Context(), a)
	if err != nil {
		s.refuse(w, r, http.StatusServiceUnavailable, uplink.CodeStore, err)
		return
	}
	ack := uplink.Ack{Device: device, Epoch: b.Epoch, Last: held.Last, Hash: held.Hash}
	s.answer(w, ack.Sign(s.authority.AckKey))
}

// arrival checks a batch: every event by itself, and that it is of this device and epoch and without holes.
func (s *Server) arrival(b uplink.Batch) (Arrival, error) {
	a := Arrival{Device: b.Device, Epoch: b.Epoch, Received: s.now().UTC()}
	if len(b.Events) == 0 || len(b.Events) > uplink.MaxEvents {
		return a, fmt.Errorf("%d events, want 1 to %d", len(b.Events), uplink.MaxEvents)
	}
	for _, body := range b.Events {
		e, err := audit.Decode(body)
		if err != nil {
			return a, err
		}
		if e.Device != b.Device || e.Epoch != b.Epoch || len(e.Epoch) != 16 {
			return a, errors.New("event of another device or epoch")
		}
		if n := len(a.Events); e.Seq == 0 || e.Seq > 1<<62 || n > 0 && e.Seq != a.Events[n-1].Seq+1 {
			return a, fmt.Errorf("event number %d out of turn", e.Seq)
		}
		a.Events = append(a.Events, Event{Record: audit.Record{Seq: e.Seq, Hash: audit.Hash(body), Body: body},
			Prev: e.Prev, Type: e.Type, Wall: e.Wall})
	}
	if k := b.Acked; k != nil && k.Device == b.Device && k.Epoch == b.Epoch && k.Verify(s.authority.AckKey.Public().(ed25519.PublicKey)) {
		a.Proved = Held{Last: k.Last, Hash: k.Hash}
	}
	return a, nil
}

func (s *Server) enroll(w http.ResponseWriter, r *http.Request) {
	var ask uplink.Enroll
	if err := uplink.Decode(r.Body, uplink.MaxAsk, &ask); err != nil {
		s.refuse(w, r, http.StatusBadRequest, uplink.CodeMalformed, err)
		return
	}
	csr, err := parseCSR(ask.CSR)
	if err != nil {
		s.refuse(w, r, http.StatusBadRequest, uplink.CodeMalformed, err)
		return
	}
	device, err := s.store.UseToken(r.Context(), secretHash(ask.Secret), s.now())
	if errors.Is(err, ErrToken) {
		s.refuse(w, r, http.StatusForbidden, uplink.CodeToken, err)
		return
	}
	if err != nil {
		s.refuse(w, r, http.StatusServiceUnavailable, uplink.CodeStore, err)
		return
	}
	s.grant(w, r, device, csr)
}

func (s *Server) renew(w http.ResponseWriter, r *http.Request, device audit.Label) {
	var ask uplink.Renew
	if err := uplink.Decode(r.Body, uplink.MaxAsk, &ask); err != nil {
		s.refuse(w, r, http.StatusBadRequest, uplink.CodeMalformed, err)
		return
	}
	csr, err := parseCSR(ask.CSR)
	if err != nil {
		s.refuse(w, r, http.StatusBadRequest, uplink.CodeMalformed, err)
		return
	}
	s.grant(w, r, device, csr)
}

func (s *Server) grant(w http.ResponseWriter, r *http.Request, device audit.Label, csr *x509.CertificateRequest) {
	der, err := s.authority.Issue(device, csr, s.now())
	if err != nil {
		s.refuse(w, r, http.StatusServiceUnavailable, uplink.CodeStore, err)
		return
	}
	s.log.Info("certificate issued", "device", device)
	s.answer(w, uplink.Granted{
		Device: device,
		Cert:   string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		CA:     string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.authority.CA.Raw})),
		AckKey: base64.StdEncoding.EncodeToString(s.authority.AckKey.Public().(ed25519.PublicKey)),
	})
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

// answer writes m, which is durable already.
func (s *Server) answer(w http.ResponseWriter, m any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(m); err != nil {
		s.log.Debug("answer not sent", "err", err)
	}
}

func (s *Server) refuse(w http.ResponseWriter, r *http.Request, status int, code string, err error) {
	s.log.Warn("request refused", "path", r.URL.Path, "peer", r.RemoteAddr, "code", code, "err", err)
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(uplink.Refusal{Code: code})
}

func secretHash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// NewToken makes a one-time token for a device, valid for ttl. Only the hash of its secret is stored.
func NewToken(ctx context.Context, a *Authority, s Store, device audit.Label, url string, ttl time.Duration) (uplink.Token, error) {
	if err := uplink.CheckDevice(device); err != nil {
		return uplink.Token{}, err
	}
	t := uplink.Token{Device: device, CA: a.Fingerprint(), Secret: rand.Text(), URL: url}
	err := s.AddToken(ctx, Token{Hash: secretHash(t.Secret), Device: device, Expires: time.Now().Add(ttl)})
	if err != nil {
		return uplink.Token{}, fmt.Errorf("store the token for %s: %w", device, err)
	}
	return t, nil
}
