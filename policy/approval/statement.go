package approval

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"stepaway/audit"
)

// MaxFile is the largest approval file in bytes.
const MaxFile = 16 << 10

// NoSigners stands in a statement for a policy that names no allowed signers' file.
const NoSigners = "0000000000000000000000000000000000000000000000000000000000000000"

// SignersSum is how a statement names the content of the allowed signers' file; nil is no file.
func SignersSum(text []byte) string {
	if text == nil {
		return NoSigners
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Act is what somebody says of a policy.
type Act string

const (
	Sign    Act = "sign"    // I wrote it
	Approve Act = "approve" // I agree to it, and did not write it
)

func (a Act) role() string {
	if a == Approve {
		return "the approver's"
	}
	return "the author's"
}

// Statement is what one person says of one policy.
type Statement struct {
	Act     Act
	By      string    // principal: at most 64 ASCII letters, digits and ._-@/:+, as in the allowed signers' file
	Hash    string    // of the policy, 64 hex digits
	Group   string    // of the computers that it is good for; "": those that have none
	Version int       // of the policy
	Signers string    // SHA-256 of the allowed signers' file that the policy names, 64 hex digits
	Expires time.Time // whole seconds
}

// fields are the lines of a statement after the first, in their order.
var fields = []string{"act", "by", "hash", "group", "version", "signers", "expires"}

const firstLine = "stepaway policy statement 1"

// layout is RFC 3339 in UTC, to the second.
const layout = "2006-01-02T15:04:05Z"

func stamp(t time.Time) string { return t.UTC().Format(layout) }

// Text is the statement as it is signed: eight lines with LF ends.
func (s Statement) Text() []byte {
	group := s.Group
	if group == "" {
		group = "-"
	}
	var b strings.Builder
	b.WriteString(firstLine + "\n")
	for i, v := range []string{string(s.Act), s.By, s.Hash, group, strconv.Itoa(s.Version), s.Signers, stamp(s.Expires)} {
		b.WriteString(fields[i] + ": " + v + "\n")
	}
	return []byte(b.String())
}

// Valid says what is wrong with a statement, so that Parse would refuse it.
func (s Statement) Valid() error {
	switch {
	case s.Act != Sign && s.Act != Approve:
		return fmt.Errorf("act: %q is neither sign nor approve", printable(string(s.Act)))
	case !name(s.By) || strings.Contains(s.By, " "):
		return fmt.Errorf("by: %q is not a name of at most 64 letters, digits and ._-@/:+, like alice@clinic.example", printable(s.By))
	case !sum(s.Hash):
		return errors.New("hash: not 64 hex digits in lower case")
	case s.Group != "" && !name(s.Group):
		return fmt.Errorf("group: %q is not a name of a device group, or - for none", printable(s.Group))
	case s.Version < 0 || s.Version > 1<<31-1:
		return fmt.Errorf("version: %d is out of bounds", s.Version)
	case !sum(s.Signers):
		return errors.New("signers: not 64 hex digits in lower case")
	case s.Expires.Unix() < 0 || s.Expires.UTC().Year() > 9999 || s.Expires.Nanosecond() != 0:
		return errors.New("expires: not a time in whole seconds from 1970 to 9999")
	}
	return nil
}

// name reports whether s can stand in a statement and in the records.
func name(s string) bool { return s != "" && string(audit.MakeLabel(s)) == s }

func sum(s string) bool { return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == "" }

// Signed is a statement whose signature fits it. Whether its key may sign at all, only Signers know.
type Signed struct {
	Statement
	key string // as SSH writes it
}

// Fingerprint names the key that signed, as ssh-keygen -l does.
func (g Signed) Fingerprint() string {
	sum := sha256.Sum256([]byte(g.key))
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// Parse reads an approval file and verifies its signature. Every byte counts: what Text and ssh-keygen would not have
// written is refused.
func Parse(b []byte) (Signed, error) {
	if len(b) > MaxFile {
		return Signed{}, fmt.Errorf("larger than %d KiB", MaxFile>>10)
	}
	if i := bytes.IndexFunc(b, func(r rune) bool { return r != '\n' && (r < ' ' || r > '~') }); i >= 0 {
		return Signed{}, fmt.Errorf("line %d holds the byte %#02x; it must be plain ASCII with LF line ends", 1+bytes.Count(b[:i], []byte("\n")), b[i])
	}
	at := bytes.Index(b, []byte(begin))
	if at < 0 {
		return Signed{}, errors.New("no SSH signature in it; append what ssh-keygen -Y sign wrote")
	}
	s, err := statement(b[:at])
	if err != nil {
		return Signed{}, err
	}
	key, err := verify(b[:at], b[at:])
	if err != nil {
		return Signed{}, err
	}
	return Signed{s, string(key.Marshal())}, nil
}

// statement reads the signed text.
func statement(text []byte) (Statement, error) {
	lines := strings.SplitAfter(string(text), "\n")
	if len(lines) != len(fields)+2 || lines[len(fields)+1] != "" {
		return Statement{}, fmt.Errorf("%d lines before the signature, and a statement has %d", bytes.Count(text, []byte("\n")), len(fields)+1)
	}
	if lines[0] != firstLine+"\n" {
		return Statement{}, fmt.Errorf("does not begin with the line %q", firstLine)
	}
	values := make([]string, len(fields))
	for i, f := range fields {
		v, ok := strings.CutPrefix(strings.TrimSuffix(lines[i+1], "\n"), f+": ")
		if !ok {
			return Statement{}, fmt.Errorf("line %d does not begin with %q", i+2, f+": ")
		}
		values[i] = v
	}
	s := Statement{Act: Act(values[0]), By: values[1], Hash: values[2], Group: values[3], Signers: values[5]}
	if s.Group == "-" {
		s.Group = ""
	}
	var err error
	if s.Version, err = strconv.Atoi(values[4]); err != nil {
		return Statement{}, fmt.Errorf("version: %q is not a whole number", printable(values[4]))
	}
	if s.Expires, err = time.Parse(layout, values[6]); err != nil {
		return Statement{}, fmt.Errorf("expires: %q is not a time like %s", printable(values[6]), layout)
	}
	if err := s.Valid(); err != nil {
		return Statement{}, err
	}
	if !bytes.Equal(s.Text(), text) {
		return Statement{}, errors.New("says the same as a statement and is not written exactly like one")
	}
	return s, nil
}

// printable makes foreign text safe for a terminal and short.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "") + "..."
	}
	return s
}
