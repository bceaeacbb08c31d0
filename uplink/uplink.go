// Package uplink is what courier and collector say to one another over HTTPS.
//
// Failure rules: every message is bounded and decoded strictly, and what is wrong with it is refused whole.
// Who a device is, is the word of its certificate; the name in a body must agree. An acknowledgement counts
// only with the collector's signature over exactly what was sent, and so does the time. A message of a
// version never changes: what is new gets a new path. The package is pure: it opens no connection.
package uplink

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"stepaway/audit"
)

// Paths on the collector. All but PathEnroll and PathTime want a client certificate.
const (
	PathEnroll = "/v1/enroll"
	PathRenew  = "/v1/renew"
	PathEvents = "/v1/events"
	PathHealth = "/v1/health"
	PathAbout  = "/v1/about"
	PathTime   = "/v1/time" // ?nonce=
)

// Bounds of the messages.
const (
	MaxEvents = 500        // events in one batch
	MaxBodies = 1 << 20    // bytes of event bodies in one batch, unless it is one event
	MaxBatch  = 1280 << 10 // bytes of an encoded Batch
	MaxAnswer = 64 << 10   // bytes of any answer
	MaxAsk    = 32 << 10   // bytes of an Enroll or Renew
	MaxHeader = 16 << 10   // bytes of the headers of a request or an answer
	MaxNonce  = 64         // hex digits of a nonce, at least MinNonce
	MinNonce  = 32
)

// Limits of time, of both ends: one exchange; and how long a connection lives that shows no certificate.
const (
	ExchangeTime = 30 * time.Second
	StrangerTime = 30 * time.Second
)

// ErrMessage is the error of a peer that does not keep to the protocol.
var ErrMessage = errors.New("malformed message")

// Batch is POST to PathEvents: encoded events of one epoch, numbers without a hole.
type Batch struct {
	Device audit.Label       `json:"device"`
	Epoch  string            `json:"epoch"`
	Acked  *Ack              `json:"acked,omitempty"` // the collector's own word for all that came before
	Events []json.RawMessage `json:"events"`
}

// Ack is the answer: every event of the epoch up to Last is held durably, and Hash is that of event Last.
// Last is 0 and Hash audit.Zero when none is held.
type Ack struct {
	Device audit.Label `json:"device"`
	Epoch  string      `json:"epoch"`
	Last   uint64      `json:"last"`
	Hash   string      `json:"hash"`
	Sig    string      `json:"sig"` // Ed25519, base64
}

func (a Ack) signed() []byte {
	return fmt.Appendf(nil, "stepaway-ack-v1\n%s\n%s\n%d\n%s", a.Device, a.Epoch, a.Last, a.Hash)
}

// Sign fills in the signature.
func (a Ack) Sign(key ed25519.PrivateKey) Ack {
	a.Sig = base64.StdEncoding.EncodeToString(ed25519.Sign(key, a.signed()))
	return a
}

// Verify reports whether the collector that has the key to pub said this.
func (a Ack) Verify(pub ed25519.PublicKey) bool {
	sig, err := base64.StdEncoding.DecodeString(a.Sig)
	return err == nil && len(pub) == ed25519.PublicKeySize && ed25519.Verify(pub, a.signed(), sig)
}

// Enroll is POST to PathEnroll. The device's name comes with the token, not from the request.
type Enroll struct {
	Secret string `json:"secret"` // of the token
	CSR    string `json:"csr"`    // PEM
}

// Renew is POST to PathRenew.
type Renew struct {
	CSR string `json:"csr"` // PEM
}

// Granted is the answer to Enroll and Renew.
type Granted struct {
	Device audit.Label `json:"device"`
	Cert   string      `json:"cert"`    // PEM
	CA     string      `json:"ca"`      // PEM
	AckKey string      `json:"ack_key"` // Ed25519 public key, base64
}

// About is the answer to GET of PathAbout, for a device that has its certificate from somebody else.
type About struct {
	Device audit.Label `json:"device"`  // as the collector reads the certificate
	AckKey string      `json:"ack_key"` // Ed25519 public key, base64
}

// Time is the answer to GET of PathTime: the collector's clock, for a device that does not know the time and so cannot
// tell whether a certificate is valid.
type Time struct {
	Nonce string `json:"nonce"` // of the request, so that no old answer serves
	Unix  int64  `json:"unix"`  // seconds
	Sig   string `json:"sig"`   // Ed25519, base64
}

func (t Time) signed() []byte { return fmt.Appendf(nil, "stepaway-time-v1\n%s\n%d", t.Nonce, t.Unix) }

// Sign fills in the signature.
func (t Time) Sign(key ed25519.PrivateKey) Time {
	t.Sig = base64.StdEncoding.EncodeToString(ed25519.Sign(key, t.signed()))
	return t
}

// Verify reports whether the collector that has the key to pub said this, asked with this nonce.
func (t Time) Verify(pub ed25519.PublicKey, nonce string) bool {
	sig, err := base64.StdEncoding.DecodeString(t.Sig)
	return err == nil && t.Nonce == nonce && len(pub) == ed25519.PublicKeySize && ed25519.Verify(pub, t.signed(), sig)
}

// CheckNonce says what is wrong with a nonce.
func CheckNonce(s string) error {
	if len(s) < MinNonce || len(s) > MaxNonce || strings.Trim(s, "0123456789abcdef") != "" {
		return fmt.Errorf("%w: nonce: want %d to %d lower-case hex digits", ErrMessage, MinNonce, MaxNonce)
	}
	return nil
}

// Refusal is the body of an answer that is neither 200 nor 204: an enumerated word.
type Refusal struct {
	Code string `json:"code"`
}

// Codes of a Refusal.
const (
	CodeMalformed = "malformed" // 400, 415
	CodeEvent     = "event"     // 400: the collector does not know an event of the batch: it is older than the device
	CodeToken     = "token"     // 403: unknown, used or expired
	CodeDevice    = "device"    // 401: no certificate; 403: its name is none, or not that of the batch
	CodeRevoked   = "revoked"   // 403
	CodeLapsed    = "lapsed"    // 403: the certificate has expired and may still be renewed
	CodeExpired   = "expired"   // 403: and may not be renewed any more, or is not valid yet
	CodeUnknown   = "unknown"   // 404, 405: no such path or method in this collector
	CodeStore     = "store"     // 503
	CodeBusy      = "busy"      // 429, 503
)

// Decode reads one message of at most max bytes from r into m, strictly.
func Decode(r io.Reader, max int64, m any) error {
	body, err := io.ReadAll(io.LimitReader(r, max+1))
	if err != nil {
		return fmt.Errorf("read a message: %w", err)
	}
	if int64(len(body)) > max {
		return fmt.Errorf("%w: more than %d bytes", ErrMessage, max)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(m); err != nil {
		return fmt.Errorf("%w: %v", ErrMessage, err)
	}
	if rest := body[d.InputOffset():]; len(bytes.TrimSpace(rest)) > 0 {
		return fmt.Errorf("%w: bytes after its end", ErrMessage)
	}
	return nil
}

// Token is what an administrator carries from the collector to a device, once. From and Until tell a device whose
// clock is wrong roughly what time it is.
type Token struct {
	Device audit.Label `json:"d"`
	CA     string      `json:"f"` // SHA-256 of the CA certificate's DER, hex
	Secret string      `json:"s"`
	URL    string      `json:"u,omitempty"`
	From   int64       `json:"a,omitempty"` // when it was made, Unix seconds
	Until  int64       `json:"b,omitempty"` // when it expires
}

// Clamp brings a time into the life of the token, where it has one.
func (t Token) Clamp(now time.Time) time.Time {
	if t.From > 0 && now.Unix() < t.From {
		return time.Unix(t.From, 0)
	}
	if t.Until > 0 && now.Unix() > t.Until {
		return time.Unix(t.Until, 0)
	}
	return now
}

const tokenPrefix = "sa1."

// String gives the token as it is typed and pasted.
func (t Token) String() string {
	body, _ := json.Marshal(t)
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(body)
}

// ErrToken is the error of a string that is no token.
var ErrToken = errors.New("not an enrolment token")

// ParseToken reads what String gave.
func ParseToken(s string) (Token, error) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(s), tokenPrefix)
	if !ok || len(rest) > 2048 {
		return Token{}, ErrToken
	}
	body, err := base64.RawURLEncoding.DecodeString(rest)
	if err != nil {
		return Token{}, ErrToken
	}
	var t Token
	if err := Decode(bytes.NewReader(body), 2048, &t); err != nil {
		return Token{}, ErrToken
	}
	if len(t.CA) != 64 || t.Secret == "" || t.From < 0 || t.Until < t.From || CheckDevice(t.Device) != nil {
		return Token{}, ErrToken
	}
	return t, nil
}

// CheckDevice says what is wrong with the name of a device: 1 to 63 letters, digits, "." "-" "_".
func CheckDevice(d audit.Label) error {
	ok := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r)
	}
	if d == "" || len(d) > 63 || audit.MakeLabel(string(d)) != d || strings.TrimFunc(string(d), ok) != "" {
		return fmt.Errorf("device name %.80q: want 1 to 63 letters, digits, '.', '-' or '_', not beginning with '-'", string(d))
	}
	return nil
}

// DeviceOf answers whose certificate it is: the common name of the subject, or where it has none the first DNS name.
func DeviceOf(c *x509.Certificate) (audit.Label, error) {
	name := c.Subject.CommonName
	if name == "" && len(c.DNSNames) > 0 {
		name = c.DNSNames[0]
	}
	if name == "" {
		return "", errors.New("the certificate names no device: neither a common name nor a DNS name")
	}
	return audit.Label(name), CheckDevice(audit.Label(name))
}
