package approval

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Limits of an allowed signers' file, far above what a site needs.
const (
	MaxSigners  = 256 << 10 // bytes
	maxKeys     = 1024
	maxProblems = 100 // nobody reads more at once
)

// Signers says whose keys may sign, as ALLOWED SIGNERS in ssh-keygen(1). The zero value allows nobody.
type Signers struct{ lines []line }

// Problem is a line that allows nobody to sign. The other lines count.
type Problem struct {
	Line int    `json:"line"` // 1.., 0 for the whole file
	Text string `json:"text"` // what is wrong and what to write instead
}

func (p Problem) String() string {
	if p.Line == 0 {
		return p.Text
	}
	return fmt.Sprintf("line %d: %s", p.Line, p.Text)
}

// line is one key and whose it is.
type line struct {
	number int
	names  patterns
	key    string // as SSH writes it
	options
}

// options of a line. authority keys sign certificates, which are not taken: such a line only tells whose the key is.
type options struct {
	authority     bool
	namespaces    *patterns // nil: any
	after, before *moment   // nil: any time; both instants are within
}

// moment is a date and time of the zone in which it is looked at, or of UTC.
type moment struct {
	wall time.Time // in UTC
	utc  bool
}

func (m moment) in(zone *time.Location) time.Time {
	if m.utc {
		return m.wall
	}
	y, mo, d := m.wall.Date()
	h, mi, s := m.wall.Clock()
	return time.Date(y, mo, d, h, mi, s, 0, zone)
}

// ParseSigners reads an allowed signers' file. As with ssh-keygen a line that is wrong allows nobody and leaves the others
// as they are. Lines of a certificate authority, and quotes around names, are not supported, and are problems.
func ParseSigners(text []byte) (Signers, []Problem) {
	if len(text) > MaxSigners {
		return Signers{}, []Problem{{0, fmt.Sprintf("larger than %d KiB; nobody may sign", MaxSigners>>10)}}
	}
	var s Signers
	var ps []Problem
	wrong := func(n int, err error) {
		if len(ps) < maxProblems {
			ps = append(ps, Problem{n, err.Error()})
		}
	}
	n := 0
	for row := range strings.Lines(string(text)) {
		n++
		row = strings.Trim(row, " \t\r\n")
		if row == "" || row[0] == '#' {
			continue
		}
		l, err := parseLine(row)
		if l.number = n; err != nil {
			wrong(n, err)
			continue
		}
		if len(s.lines) == maxKeys {
			wrong(n, fmt.Errorf("more than %d keys; this and the following may not sign", maxKeys))
			break
		}
		if l.authority {
			wrong(n, errors.New("cert-authority is not supported: list the key of each person"))
		}
		s.lines = append(s.lines, l)
	}
	return s, ps
}

func parseLine(row string) (line, error) {
	if i := strings.IndexFunc(row, func(r rune) bool { return r != '\t' && unicode.IsControl(r) || r == '\ufeff' }); i >= 0 {
		return line{}, errors.New("holds a character that cannot be printed; save it as plain text")
	}
	names, rest := word(row)
	if strings.Contains(names, `"`) {
		return line{}, errors.New("quotes around names are not supported: write them without")
	}
	l := line{names: patternList(names)}
	kind, raw := keyText(rest)
	if raw == nil {
		opts, after := unquotedWord(rest)
		if kind, raw = keyText(after); raw == nil {
			return line{}, errors.New("no key: write NAME KEYTYPE KEY, as in the .pub file, and options between NAME and KEYTYPE")
		}
		var err error
		if l.options, err = parseOptions(opts); err != nil {
			return line{}, err
		}
	}
	key, err := parseKey(raw)
	if err != nil {
		return line{}, err
	}
	if key.Type() != kind {
		return line{}, fmt.Errorf("says that the key is of the type %q, and it is %s", printable(kind), key.Type())
	}
	l.key = string(raw)
	return l, nil
}

// word cuts s at its first white space.
func word(s string) (first, rest string) {
	i := strings.IndexAny(s, " \t")
	if i < 0 {
		return s, ""
	}
	return s[:i], strings.TrimLeft(s[i:], " \t")
}

// unquotedWord cuts s at the first white space that is not within quotes.
func unquotedWord(s string) (first, rest string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && strings.HasPrefix(s[i+1:], `"`):
			i++
		case s[i] == '"':
			quoted = !quoted
		case !quoted && (s[i] == ' ' || s[i] == '\t'):
			return s[:i], strings.TrimLeft(s[i:], " \t")
		}
	}
	return s, ""
}

// keyText cuts a key's type and the key off s; a comment may follow. nil: there is none.
func keyText(s string) (kind string, raw []byte) {
	kind, rest := word(s)
	text, _ := word(rest)
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) == 0 {
		return "", nil
	}
	return kind, raw
}

func parseOptions(s string) (options, error) {
	var o options
	for {
		name, value, rest, err := option(s)
		if err == nil {
			err = o.set(strings.ToLower(name), value)
		}
		if err != nil || rest == "" {
			return o, err
		}
		s = rest[1:] // the comma
	}
}

// option cuts name or name="value" off s. What follows it is "" or begins with a comma; value is nil without "=".
func option(s string) (name string, value *string, rest string, err error) {
	i := strings.IndexAny(s, "=,")
	if i < 0 {
		return s, nil, "", nil
	}
	if s[i] == ',' {
		return s[:i], nil, s[i:], nil
	}
	name, s = s[:i], s[i+1:]
	if !strings.HasPrefix(s, `"`) {
		return "", nil, "", fmt.Errorf("option %q: write its value in double quotes", printable(name))
	}
	var b strings.Builder
	for i = 1; i < len(s) && s[i] != '"'; i++ {
		if s[i] == '\\' && strings.HasPrefix(s[i+1:], `"`) {
			i++
		}
		b.WriteByte(s[i])
	}
	if i >= len(s) || i+1 < len(s) && s[i+1] != ',' {
		return "", nil, "", fmt.Errorf("option %q: after its value comes a comma or a space", printable(name))
	}
	v := b.String()
	return name, &v, s[i+1:], nil
}

func (o *options) set(name string, value *string) error {
	if name == "cert-authority" && value == nil {
		o.authority = true
		return nil
	}
	if !slices.Contains([]string{"namespaces", "valid-after", "valid-before"}, name) || value == nil {
		return fmt.Errorf("unknown option %q; known here: namespaces, valid-after, valid-before", printable(name))
	}
	if name == "namespaces" {
		if o.namespaces != nil {
			return errors.New("namespaces stands twice")
		}
		ps := patternList(*value)
		o.namespaces = &ps
		return nil
	}
	at := &o.after
	if name == "valid-before" {
		at = &o.before
	}
	if *at != nil {
		return fmt.Errorf("%s stands twice", name)
	}
	m, err := parseMoment(*value)
	*at = &m
	if err == nil && o.after != nil && o.before != nil && o.after.utc == o.before.utc && !o.before.wall.After(o.after.wall) {
		err = errors.New("valid-before is not later than valid-after")
	}
	return err
}

// parseMoment reads YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS, with Z or UTC after it or nothing.
func parseMoment(s string) (moment, error) {
	t := strings.ToUpper(s)
	t, z := strings.CutSuffix(t, "Z")
	if !z {
		t, z = strings.CutSuffix(t, "UTC")
	}
	for _, layout := range []string{"20060102", "200601021504", "20060102150405"} {
		if wall, err := time.Parse(layout, t); err == nil && len(t) == len(layout) && wall.Unix() > 0 {
			return moment{wall, z}, nil
		}
	}
	return moment{}, fmt.Errorf("%q is not a time; write it like 20260131 or 202601312359Z", printable(s))
}

// Admits says why the key that made g may not sign for its name now. Times without a zone are of now's.
func (s Signers) Admits(g Signed, now time.Time) error {
	var why error
	for _, l := range s.lines {
		if l.key != g.key {
			continue
		}
		err := l.admits(g.By, now)
		if err == nil {
			return nil
		}
		if err = fmt.Errorf("line %d of the allowed signers has the key %s, but %w", l.number, g.Fingerprint(), err); why == nil || l.names.match(g.By) {
			why = err
		}
	}
	if why == nil {
		why = fmt.Errorf("the allowed signers in force do not have the key %s, with which it was signed for %s", g.Fingerprint(), g.By)
	}
	return why
}

func (l line) admits(name string, now time.Time) error {
	zone := now.Location()
	switch {
	case !l.names.match(name):
		return fmt.Errorf("not for %s", name)
	case l.authority:
		return errors.New("as a cert-authority, which is not supported")
	case l.namespaces != nil && !l.namespaces.match(Namespace):
		return fmt.Errorf("not for the namespace %s", Namespace)
	case l.after != nil && now.Unix() < l.after.in(zone).Unix():
		return fmt.Errorf("it is not valid before %s", stamp(l.after.in(zone)))
	case l.before != nil && now.Unix() > l.before.in(zone).Unix():
		return fmt.Errorf("it is not valid after %s", stamp(l.before.in(zone)))
	}
	return nil
}
