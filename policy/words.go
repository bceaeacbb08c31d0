package policy

import (
	"bytes"
	"encoding/json"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"stepaway/audit"
)

// Duration writes d as a policy does: "15m", "1h30m", "20s".
func Duration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalJSON keeps the order of the fields.
func (e Entry) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	for i, f := range e {
		v, err := json.Marshal(f.Value)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Quote(f.Key) + ":")
		b.Write(v)
	}
	return []byte("{" + b.String() + "}"), nil
}

// Patterns are what a schema can say of the texts below: whatever a check accepts matches, and more does.
const (
	pathPattern  = `/.*[^/]|[A-Za-z]:\\[^\\/:"<>|][^/:"<>|]*`
	homePattern  = `[^/\\:*?"<>|]([^:*?"<>|]*[^/\\:*?"<>|])?`
	namePattern  = `[A-Za-z0-9 ._/:\\][A-Za-z0-9 ._@/:+\\-]*`
	urlPattern   = `[Hh][Tt][Tt][Pp][Ss]://[A-Za-z0-9._:\[\]-]+/*`
	proxyPattern = `[Hh][Tt][Tt][Pp][Ss]?://[A-Za-z0-9._:\[\]-]+:[0-9]+/*`
)

// onWindows is the beginning of an absolute path there. Shares are not local and no place for what a policy names.
var onWindows = regexp.MustCompile(`^[A-Za-z]:\\[^\\]`)

// absolutePath accepts a clean path of Linux or Windows: a policy may be checked on the other system.
func absolutePath(s string) error {
	if onWindows.MatchString(s) {
		if rest := strings.ReplaceAll(s[2:], `\`, "/"); path.Clean(rest) == rest && !strings.ContainsAny(s[2:], `:"<>|/`) {
			return nil
		}
	} else if strings.HasPrefix(s, "/") && path.Clean(s) == s && s != "/" {
		return nil
	}
	return errorf("%q is not a clean absolute path; write it like /usr/bin/program", printable(s))
}

// belowHome accepts a clean path below a home directory.
func belowHome(s string) error {
	if rel := strings.ReplaceAll(s, `\`, "/"); path.Clean(rel) != rel || rel == "." || rel == ".." || strings.HasPrefix(rel, "../") ||
		strings.HasPrefix(rel, "/") || strings.ContainsAny(rel, `:*?"<>|`) {
		return errorf("%q is not a clean path below the home directory; write it like .cache/example-ehr", printable(s))
	}
	return nil
}

// command accepts an absolute path first.
func command(i int, s string) error {
	if i == 0 {
		return absolutePath(s)
	}
	return nil
}

func nameOK(s string) error {
	if string(audit.MakeLabel(s)) != s || strings.Contains(s, "?") { // MakeLabel writes ? for the rest
		return errorf("name %q: use at most 64 letters, digits, spaces and ._-@/:+", printable(s))
	}
	return nil
}

func httpsURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.User != nil || strings.ContainsAny(s, "?#") ||
		strings.Trim(u.Path, "/") != "" || !hostAndPort(u) {
		return errorf("%q is not an address like https://collector.clinic.example:8443", printable(s))
	}
	return nil
}

// proxyURL accepts the address of a proxy, which has no port that goes without saying.
func proxyURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || strings.ContainsAny(s, "?#") ||
		strings.Trim(u.Path, "/") != "" || !hostAndPort(u) || u.Port() == "" {
		return errorf("%q is not an address like http://proxy.clinic.example:3128", printable(s))
	}
	return nil
}

func hostAndPort(u *url.URL) bool {
	host := strings.Trim(strings.ToLower(u.Hostname()), "abcdefghijklmnopqrstuvwxyz0123456789.-_:")
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	return u.Hostname() != "" && host == "" && (port > 0 && err == nil || !strings.HasSuffix(u.Host, ":"+u.Port()))
}

// printable makes foreign text safe for a terminal and short.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	if len(s) > 80 {
		s = strings.ToValidUTF8(s[:80], "") + "..."
	}
	return s
}

// PathMatches reports whether an executable's canonical path is one that a client names. * and ? stand for characters
// within one name. Paths of Windows are compared without regard to case.
func PathMatches(pattern, name string) bool {
	if onWindows.MatchString(pattern) {
		pattern, name = strings.ToLower(strings.ReplaceAll(pattern, `\`, "/")), strings.ToLower(strings.ReplaceAll(name, `\`, "/"))
	}
	ok, err := path.Match(onlyStars.Replace(pattern), name)
	return ok && err == nil
}

// onlyStars takes from path.Match what a policy's patterns do not have.
var onlyStars = strings.NewReplacer(`\`, `\\`, "[", `\[`)
