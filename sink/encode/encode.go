// Package encode writes audit events in the formats that a hospital's own audit systems read: RFC 5424, the DICOM audit
// message of IHE ATNA, FHIR R4 AuditEvent and OTLP logs.
//
// Failure rules: one event gives one record, whatever its fields hold. Nothing goes out that the event does not hold:
// every text is a word of this package, a number, or a field of the event. What could end a record early, hide part of it
// or turn its reading direction is written as \uXXXX. The package is pure: no clock, no file, no network.
package encode

import (
	"crypto/sha1"
	"encoding/hex"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"stepaway/audit"
)

// Namespace is the UUID that names Stepaway in every format: the name space of event ids, and the system of its codes.
const Namespace = "6f0d9b6e-5d0a-4a3c-9a57-51e2a7c0ffb4"

// System is the code system of Stepaway's own event types.
const System = "urn:uuid:" + Namespace

// Entry is one event on its way out. Hash is its hash in the chain, hex.
type Entry struct {
	audit.Event
	Hash string
}

// ID is the same for the same event whenever and by whomever it is sent: the UUID of version 5 for the name
// DEVICE/EPOCH/SEQ in Namespace.
func (e Entry) ID() string {
	space, _ := hex.DecodeString(strings.ReplaceAll(Namespace, "-", ""))
	h := sha1.New() // version 5 says so; nothing is kept secret by it
	h.Write(space)
	h.Write([]byte(string(e.Device) + "/" + e.Epoch + "/" + strconv.FormatUint(e.Seq, 10)))
	u := h.Sum(nil)[:16]
	u[6], u[8] = u[6]&0x0f|0x50, u[8]&0x3f|0x80
	x := hex.EncodeToString(u)
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}

// sentence is what a person reads first.
func (e Entry) sentence() string {
	s := RowOf(e.Type).Title
	if e.Session != nil {
		s += ", " + e.user()
	}
	if e.Device != "" {
		s += ", on " + string(e.Device)
	}
	if e.Outcome == audit.Failure {
		s += ", failed"
	}
	if e.Facts != nil && e.Facts.Code != "" {
		s += ": " + string(e.Facts.Code)
	}
	return clean(s)
}

// user names the person whose session it is.
func (e Entry) user() string {
	if e.Session.User != "" {
		return clean(string(e.Session.User))
	}
	return clean(e.Session.Account())
}

// node names the workstation; audit formats want one.
func (e Entry) node() string {
	if e.Device == "" {
		return "unknown"
	}
	return clean(string(e.Device))
}

// asked reports whether the person in the session brought the event about, and not the node.
func (e Entry) asked() bool {
	if e.Session == nil {
		return false
	}
	switch e.Type {
	case audit.SessionStart, audit.SessionEnd, audit.SessionSwitch, audit.UnlockSeen:
		return true
	}
	return e.Reason == audit.Manual
}

// clean writes control characters, those that turn the reading direction or cannot be seen, and bytes that are no UTF-8
// as \uXXXX.
func clean(s string) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			escape(&b, rune(s[i]))
		case hidden(r):
			escape(&b, r)
		default:
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func escape(b *strings.Builder, r rune) {
	x := strconv.FormatUint(uint64(r), 16)
	b.WriteString(`\u` + strings.Repeat("0", max(0, 4-len(x))) + x)
}

// hidden reports runes that nobody sees: control, format (bidi and zero width among them), separators of lines, private
// and unassigned ones.
func hidden(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs) || !unicode.IsPrint(r) && r != ' '
}
