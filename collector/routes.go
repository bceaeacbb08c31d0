package collector

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"

	"stepaway/audit"
	"stepaway/uplink"
)

// Bounds of what is worked on at once. Who exceeds them is told to come again.
const (
	maxAtOnce    = 256       // requests of devices
	maxPerDevice = 2         // of one device
	maxStrangers = 256       // requests without a certificate
	maxBodies    = 128 << 20 // bytes of requests of devices
	maxUnread    = 256 << 10 // bytes of a connection that nobody has read yet

	strangerBody = 10 * time.Second // to send the body of one
	placeTime    = 2 * time.Second  // that a device waits for its turn before it is told to come again
)

// Retry-After of an answer that says to come again, in seconds, drawn so that not all come at once.
const (
	againMin = 5
	againMax = 30
)

// caller is the device that asks.
type caller struct {
	device audit.Label
	cert   Certificate
	leaf   *x509.Certificate
	lapsed bool // its certificate has ended and may be renewed
	peer   string
	at     time.Time
}

// refusal is an answer that says no, and why for the log alone.
type refusal struct {
	status int
	code   string
	why    error
}

func (r *refusal) Error() string { return fmt.Sprintf("%d %s: %v", r.status, r.code, r.why) }

func refuse(status int, code string, why error) error { return &refusal{status, code, why} }

func malformed(why error) error { return refuse(http.StatusBadRequest, uplink.CodeMalformed, why) }

// route is one request that is known. do answers the message, nil for 204, or an error, which is 503 if no refusal.
type route struct {
	method, path string
	anyone       bool // no certificate is asked for
	lapsed       bool // a lapsed one will do
	do           func(*http.Request, caller) (any, error)
}

// table is every request that is known. docs/openapi.yaml describes it, held against it by a test.
func (s *Server) table() []route {
	return []route{
		{method: http.MethodPost, path: uplink.PathEnroll, anyone: true, do: s.enroll},
		{method: http.MethodGet, path: uplink.PathTime, anyone: true, do: s.time},
		{method: http.MethodPost, path: uplink.PathRenew, lapsed: true, do: s.renew},
		{method: http.MethodPost, path: uplink.PathEvents, do: s.events},
		{method: http.MethodGet, path: uplink.PathHealth, do: func(*http.Request, caller) (any, error) { return nil, nil }},
		{method: http.MethodGet, path: uplink.PathAbout, do: s.about},
	}
}

func (s *Server) routes() http.Handler {
	known := map[string]route{}
	for _, rt := range s.table() {
		known[rt.path] = rt
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", s.Now().UTC().Format(http.TimeFormat))
		w.Header().Set("Cache-Control", "no-store")
		m, err := s.serve(w, r, known)
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		s.answer(w, m)
	})
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, known map[string]route) (any, error) {
	rt, found := known[r.URL.Path]
	switch {
	case !found:
		return nil, refuse(http.StatusNotFound, uplink.CodeUnknown, errors.New("no such path"))
	case r.Method != rt.method:
		w.Header().Set("Allow", rt.method)
		return nil, refuse(http.StatusMethodNotAllowed, uplink.CodeUnknown, errors.New("no such method"))
	case rt.method == http.MethodPost && r.Header.Get("Content-Type") != "application/json":
		return nil, refuse(http.StatusUnsupportedMediaType, uplink.CodeMalformed, errors.New("not JSON by its content type"))
	}
	by := caller{at: s.Now()}
	room, wait := s.strangers, time.Duration(0)
	if rt.anyone {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(strangerBody))
	} else {
		var err error
		if by, err = s.identify(r, rt.lapsed); err != nil {
			return nil, err
		}
		if !s.enter(by.device) {
			return nil, refuse(http.StatusTooManyRequests, uplink.CodeBusy, errors.New("too many requests of one device at once"))
		}
		defer s.leave(by.device)
		free, err := s.receive(r)
		if err != nil {
			return nil, err
		}
		defer free()
		room, wait = s.busy, placeTime
	}
	if !claim(r.Context(), room, wait) {
		return nil, refuse(http.StatusServiceUnavailable, uplink.CodeBusy, errors.New("too many requests at once"))
	}
	defer func() { <-room }()
	return rt.do(r, by)
}

// claim takes a place, for which it may wait for a while.
func claim(ctx context.Context, room chan<- struct{}, wait time.Duration) bool {
	select {
	case room <- struct{}{}:
		return true
	default:
	}
	if wait == 0 {
		return false
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case room <- struct{}{}:
		return true
	case <-t.C:
	case <-ctx.Done():
	}
	return false
}

// receive reads the body of a device's request before the request counts as one that is worked on: a slow line holds some
// memory, and never the place of another device. free gives the memory back.
func (s *Server) receive(r *http.Request) (free func(), err error) {
	if r.Method != http.MethodPost {
		return func() {}, nil
	}
	var body bytes.Buffer
	size := r.ContentLength
	known := size >= 0 && size <= uplink.MaxBatch
	if !known {
		size = uplink.MaxBatch + 1 // which is refused
	}
	if s.bodies.Add(size) > maxBodies {
		s.bodies.Add(-size)
		return nil, refuse(http.StatusServiceUnavailable, uplink.CodeBusy, errors.New("too many bytes at once"))
	}
	free = func() { s.bodies.Add(-size) }
	if known {
		body.Grow(int(size) + bytes.MinRead)
	}
	if _, err := body.ReadFrom(io.LimitReader(r.Body, size)); err != nil {
		free()
		return nil, malformed(fmt.Errorf("read a message: %w", err))
	}
	r.Body = io.NopCloser(&body)
	return free, nil
}

// identify names the device by its certificate, of which the handshake made sure that one of the CAs had issued it and that
// the device has its key. Everything that may change while the connection is open is looked at for each request.
func (s *Server) identify(r *http.Request, lapsed bool) (caller, error) {
	by := caller{at: s.Now(), peer: hostOf(r.RemoteAddr)}
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return by, refuse(http.StatusUnauthorized, uplink.CodeDevice, errors.New("no certificate shown"))
	}
	by.leaf = r.TLS.PeerCertificates[0]
	var err error
	if by.device, err = uplink.DeviceOf(by.leaf); err != nil {
		return by, refuse(http.StatusForbidden, uplink.CodeDevice, err)
	}
	by.cert = certificateOf(by.device, by.leaf)
	ends := by.leaf.NotAfter
	switch {
	case by.at.Add(skew).Before(by.leaf.NotBefore):
		return by, refuse(http.StatusForbidden, uplink.CodeExpired, fmt.Errorf("certificate of %s is not valid before %v", by.device, by.leaf.NotBefore))
	case by.at.After(ends.Add(s.PKI.grace())) || by.at.After(ends) && !s.issued(by.leaf):
		return by, refuse(http.StatusForbidden, uplink.CodeExpired, fmt.Errorf("certificate of %s ended %v", by.device, ends))
	case by.at.After(ends):
		by.lapsed = true
	}
	revoked, err := s.store.Revoked(r.Context(), by.cert, by.at)
	switch {
	case err != nil:
		return by, err
	case revoked:
		return by, refuse(http.StatusForbidden, uplink.CodeRevoked, fmt.Errorf("certificate %.16s of %s is revoked", by.cert.ID, by.device))
	case by.lapsed && !lapsed:
		return by, refuse(http.StatusForbidden, uplink.CodeLapsed, fmt.Errorf("certificate of %s ended %v", by.device, ends))
	}
	return by, nil
}

// issued reports whether a certificate is of the collector's own CA.
func (s *Server) issued(leaf *x509.Certificate) bool {
	return leaf.CheckSignatureFrom(s.authority.CA) == nil
}

func certificateOf(device audit.Label, leaf *x509.Certificate) Certificate {
	sum := sha256.Sum256(leaf.Raw)
	return Certificate{ID: hex.EncodeToString(sum[:]), Device: device, Issued: leaf.NotBefore, Until: leaf.NotAfter}
}

func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}

// enter lets a request of a device in unless it has enough under way.
func (s *Server) enter(device audit.Label) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inside[device] >= maxPerDevice {
		return false
	}
	s.inside[device]++
	return true
}

func (s *Server) leave(device audit.Label) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inside[device]--; s.inside[device] == 0 {
		delete(s.inside, device)
	}
}

// answer writes m, which is durable already.
func (s *Server) answer(w http.ResponseWriter, m any) {
	if m == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(m); err != nil {
		s.log.Debug("answer not sent", "err", err)
	}
}

func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var no *refusal
	if !errors.As(err, &no) {
		no = &refusal{http.StatusServiceUnavailable, uplink.CodeStore, err}
	}
	s.log.Warn("request refused", "path", r.URL.Path, "peer", r.RemoteAddr, "status", no.status, "code", no.code, "err", no.why)
	switch no.status {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		w.Header().Set("Retry-After", strconv.Itoa(againMin+rand.IntN(againMax-againMin+1)))
	}
	if no.code == uplink.CodeRevoked {
		w.Header().Set("Connection", "close") // the connection goes as well
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(no.status)
	_ = json.NewEncoder(w).Encode(uplink.Refusal{Code: no.code})
}
