package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Zero is the Prev of the first event of an epoch.
var Zero = strings.Repeat("0", 64)

// MaxEncoded is the largest encoded event in bytes that a decoder takes.
const MaxEncoded = 8 << 10

// Encode gives the bytes that the chain covers, and their hash: SHA-256 in hex. The same event always
// gives the same bytes. Encode before the bytes are stored; never encode again what was stored.
func Encode(e Event) (body []byte, hash string, err error) {
	body, err = json.Marshal(e)
	if err != nil {
		return nil, "", fmt.Errorf("encode event %s: %w", e.Type, err)
	}
	return body, Hash(body), nil
}

// Hash of an encoded event, in hex.
func Hash(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// Errors of Decode and Link.
var (
	ErrEvent = errors.New("not an audit event")
	ErrChain = errors.New("chain broken")
)

// Decode reads an encoded event that may come from a hostile peer. Unknown fields, types and words, labels
// that MakeLabel would change, more than MaxEncoded bytes, and any bytes but those that Encode would give
// are refused with ErrEvent: a key written twice or in capitals would mean one thing to us and another
// to the next reader.
func Decode(body []byte) (Event, error) {
	var e Event
	if len(body) > MaxEncoded {
		return Event{}, fmt.Errorf("%w: %d bytes, at most %d", ErrEvent, len(body), MaxEncoded)
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return Event{}, fmt.Errorf("%w: %v", ErrEvent, err)
	}
	if err := e.Check(); err != nil {
		return Event{}, fmt.Errorf("%w: %v", ErrEvent, err)
	}
	if again, err := json.Marshal(e); err != nil || !bytes.Equal(again, body) { // unknown fields are missing from it
		return Event{}, fmt.Errorf("%w: %v", ErrEvent, foreign(body))
	}
	return e, nil
}

// foreign says what there is about an event that Encode would not write, though it can be read.
func foreign(body []byte) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(new(Event)); err != nil {
		return err
	}
	return errors.New("not written as Encode writes it")
}

// Link checks that body follows the event whose hash is prev and whose number is seq-1.
func Link(prev string, seq uint64, e Event) error {
	switch {
	case e.Seq != seq:
		return fmt.Errorf("%w: number %d where %d was due", ErrChain, e.Seq, seq)
	case e.Prev != prev:
		return fmt.Errorf("%w: number %d does not continue the event before it", ErrChain, e.Seq)
	}
	return nil
}

// Check reports what Decode would refuse about e, the size of its encoding aside.
func (e Event) Check() error {
	if e.V != Version {
		return fmt.Errorf("version %d, this program knows %d", e.V, Version)
	}
	if _, known := SeverityOf(e.Type); !known {
		return errors.New("unknown type")
	}
	if !e.words() {
		return errors.New("unknown severity, outcome or reason")
	}
	for _, l := range e.labels() {
		if MakeLabel(string(l)) != l {
			return errors.New("a label holds what no label may")
		}
	}
	for _, h := range []string{e.Epoch, e.Prev, e.Run, e.Policy} {
		if strings.Trim(h, "0123456789abcdef") != "" || len(h) > 64 {
			return errors.New("a hash or id is not lower-case hex of at most 64 digits")
		}
	}
	return nil
}

// words reports whether the enumerated words of e are known ones.
func (e Event) words() bool {
	return slices.Contains([]Severity{Info, Warning, Alert}, e.Severity) &&
		slices.Contains([]Outcome{Success, Failure}, e.Outcome) &&
		slices.Contains([]Reason{"", Idle, Manual, Remote, Sensor, Policy, UnknownReason}, e.Reason)
}

// labels lists every free word of the event, typed as Label or not.
func (e Event) labels() []Label {
	ls := []Label{e.Device, e.Site, e.Unit, Label(e.Boot), Label(e.Agent)}
	if s := e.Session; s != nil {
		ls = append(ls, s.ID, s.Kind, s.SID, s.User, s.Role, s.Seat)
	}
	if f := e.Facts; f != nil {
		ls = append(ls, f.Rung, f.Proof, f.Source, f.Client, f.Key, f.Old, f.New, f.Code, f.Ref)
	}
	return ls
}

// Record is one encoded event as it is stored and sent: what the chain covers, and its hash.
type Record struct {
	Seq  uint64
	Hash string
	Body []byte
}
