package sink

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"stepaway/audit"
)

// keyRule is one key of a sink: what it takes, and for which kinds; nil for all.
type keyRule struct {
	want  string
	kinds []Kind
	set   func(*Spec, string) error
	list  func(*Spec, string) error
}

var (
	byTLS  = []Kind{Syslog, ATNA}
	byHTTP = []Kind{FHIR, OTLP}
)

var keys = map[string]keyRule{
	"name":        {want: "a name of at most 32 lower-case letters, digits and dashes", set: setName},
	"kind":        {want: "syslog, atna, fhir or otlp", set: setKind},
	"url":         {want: "tls://HOST:PORT for syslog and atna, https://HOST/PATH for fhir and otlp", set: setURL},
	"ca":          {want: "an absolute path, or system", set: setCA},
	"cert":        {want: "an absolute path", set: func(s *Spec, v string) error { s.Cert = v; return absolute(v) }},
	"key":         {want: "an absolute path", set: func(s *Spec, v string) error { s.Key = v; return absolute(v) }},
	"headers":     {want: "an absolute path", kinds: byHTTP, set: func(s *Spec, v string) error { s.Headers = v; return absolute(v) }},
	"server_name": {want: "the name in the receiver's certificate", set: setServerName},
	"tls":         {want: `"1.2" or "1.3"`, set: func(s *Spec, v string) error { s.TLS = v; return oneOf(v, "1.2", "1.3") }},
	"batch":       {want: fmt.Sprintf("%d to %d", minBatch, maxBatch), set: setBatch},
	"types":       {want: "a list of event types, or of prefixes such as lock.*", list: addType},
	"ack":         {want: "close-notify, fin or none", kinds: byTLS, set: func(s *Spec, v string) error { s.Ack = v; return oneOf(v, AckNotify, AckFIN, AckNone) }},
	"enterprise":  {want: "the site's private enterprise number", kinds: []Kind{Syslog}, set: setEnterprise},
	"form":        {want: "batch or single", kinds: []Kind{FHIR}, set: func(s *Spec, v string) error { s.Form = v; return oneOf(v, Batch, Single) }},
	"start":       {want: "all or now", set: func(s *Spec, v string) error { s.Fresh = v == "now"; return oneOf(v, "all", "now") }},
	"gzip":        {want: "true or false", kinds: []Kind{OTLP}, set: setGzip},
}

var errValue = errors.New("not taken")

func oneOf(v string, words ...string) error {
	if !slices.Contains(words, v) {
		return errValue
	}
	return nil
}

func absolute(v string) error {
	if !filepath.IsAbs(v) || strings.ContainsRune(v, 0) {
		return errors.New("not an absolute path")
	}
	return nil
}

var sinkName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

func setName(s *Spec, v string) error {
	if !sinkName.MatchString(v) {
		return errValue
	}
	s.Name = v
	return nil
}

func setKind(s *Spec, v string) error {
	s.Kind = Kind(v)
	return oneOf(v, string(Syslog), string(ATNA), string(FHIR), string(OTLP))
}

func setURL(s *Spec, v string) (err error) {
	s.URL, err = url.Parse(v)
	if err != nil {
		return errors.New("not a URL")
	}
	return nil
}

// checkURL comes when the kind is known too.
func (s *Spec) checkURL() error {
	u := s.URL
	switch {
	case u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "":
		return errors.New("want a host, and neither user, query nor fragment; secrets go into the headers file")
	case slices.Contains(byTLS, s.Kind) && (u.Scheme != "tls" || strings.Trim(u.Path, "/") != ""):
		return errors.New("want tls://HOST:PORT; there is no sink without TLS")
	case slices.Contains(byHTTP, s.Kind) && u.Scheme != "https":
		return errors.New("want https://; there is no sink without TLS")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return errors.New("no such port")
		}
	}
	return nil
}

func setCA(s *Spec, v string) error {
	s.CA = v
	if v == System {
		return nil
	}
	return absolute(v)
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?$`)

func setServerName(s *Spec, v string) error {
	s.ServerName = v
	if !hostName.MatchString(v) {
		return errValue
	}
	return nil
}

func setBatch(s *Spec, v string) (err error) {
	s.Size, err = strconv.Atoi(v)
	if err != nil || s.Size < minBatch || s.Size > maxBatch {
		return errValue
	}
	return nil
}

func setGzip(s *Spec, v string) error {
	s.Gzip = v == "true"
	return oneOf(v, "true", "false")
}

// example is the enterprise number that RFC 5612 keeps for documentation.
const example = 32473

func setEnterprise(s *Spec, v string) error {
	n, err := strconv.ParseUint(v, 10, 32)
	if err != nil {
		return errValue
	}
	if n == example {
		return errors.New("32473 is for examples and belongs to nobody")
	}
	s.Enterprise = uint32(n)
	return nil
}

func addType(s *Spec, v string) error {
	s.Types = append(s.Types, v)
	if slices.ContainsFunc(audit.Types(), func(t audit.Type) bool { return covers(v, t) }) && strings.Count(v, "*") <= 1 {
		return nil
	}
	return fmt.Errorf("no event type is called %q", printable(v))
}
