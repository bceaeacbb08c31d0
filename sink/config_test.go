package sink

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"stepaway/audit"
)

const whole = `# where audit events go
sinks:
- name: siem
  kind: syslog
  url: tls://siem.clinic.example
  ca: /etc/stepaway/siem-ca.pem
  cert: /etc/stepaway/ws.pem
  key: /etc/stepaway/ws.key
  server_name: siem.internal
  tls: "1.3"
  batch: 200
  types: [lock.*, policy.relaxed]
  ack: fin
  enterprise: 55555
- {name: arr, kind: atna, url: "tls://arr.clinic.example:6514", ca: system}
- {name: repo, kind: fhir, url: https://fhir.clinic.example/r4, ca: system, headers: /etc/stepaway/fhir.headers, form: single}
- {name: otel, kind: otlp, url: https://otel.clinic.example:4318, ca: system, gzip: true}
`

func TestParse(t *testing.T) {
	specs, err := Parse("sinks.yaml", []byte(whole))
	check(t, err)
	if len(specs) != 4 {
		t.Fatalf("%d sinks", len(specs))
	}
	s := specs[0]
	if s.Name != "siem" || s.Kind != Syslog || s.URL.Host != "siem.clinic.example" || s.TLS != "1.3" || s.Size != 200 || s.Ack != AckFIN ||
		s.Enterprise != 55555 || s.ServerName != "siem.internal" || !s.Wants(audit.LockProved) || !s.Wants(audit.PolicyRelaxed) || s.Wants(audit.AgentStart) {
		t.Errorf("%+v", s)
	}
	if s := specs[1]; s.TLS != "1.2" || s.Size != 100 || s.Ack != AckNotify || !s.Wants(audit.AgentStart) {
		t.Errorf("%+v", s)
	}
	if specs[2].Form != Single || specs[3].Form != Batch || !specs[3].Gzip {
		t.Errorf("%+v", specs)
	}
}

// TestProblems: every one is told, in order, with its place.
func TestProblems(t *testing.T) {
	one := func(lines ...string) string {
		return "sinks:\n- name: a\n  kind: fhir\n  url: https://h/r4\n  ca: system\n  " + strings.Join(lines, "\n  ") + "\n"
	}
	for text, want := range map[string]string{
		"":                              "1:1: empty",
		"sinks: []\n":                   "1:8: sinks: want a list",
		"- a\n":                         "1:1: want a mapping with sinks",
		"sinks:\n- a\n":                 "2:3: want a mapping with name",
		"sink: []\n":                    "1:1: sink: no such key",
		"sinks: [a\n":                   "not YAML",
		"sinks:\n- &a {name: a}\n":      "1:1: anchors",
		"sinks:\n- !!map {name: a}\n":   "1:1: anchors",
		"sinks: []\n---\nsinks: []\n":   "more than one document",
		"sinks:\n- {}\n":                "2:3: name: missing",
		one("name: b"):                  "6:3: name: written twice",
		one("ack: fin"):                 "6:3: ack: not for kind fhir",
		one("gzip: true"):               "6:3: gzip: not for kind fhir",
		one("enterprise: 1"):            "6:3: enterprise: not for kind fhir",
		one("colour: red"):              "6:3: colour: no such key",
		one("batch: 9"):                 "6:10: batch: not taken; want 10 to 500",
		one("batch: 501"):               "6:10: batch: not taken",
		one("batch: [1]"):               "6:10: batch: want 10 to 500",
		one("batch:"):                   "batch: want 10 to 500",
		one("form: bundle"):             "6:9: form: not taken; want batch or single",
		one("tls: 1.1"):                 `6:8: tls: not taken; want "1.2" or "1.3"`,
		one("types: lock.*"):            "6:10: types: want a list",
		one("types: [lock.*, no.such]"): `6:19: types: no event type is called "no.such"`,
		one("types: [[a]]"):             "6:11: types: not taken",
		one("cert: /x"):                 "2:3: cert: cert and key go together",
		one("headers: x"):               "6:12: headers: not an absolute path",
		one("server_name: 'a b'"):       "6:16: server_name: not taken",
		one("{}: x"):                    "no such key",
		strings.Repeat(" ", MaxFile+1):  "larger than",
		one("a: *b"):                    "not YAML",
		"sinks:\n" + strings.Repeat("- {name: a}\n", 9):                                                                      "10:3: sinks: at most 8",
		"sinks:\n- {name: a, kind: syslog, url: https://h, ca: system}\n":                                                    "2:32: url: want tls://",
		"sinks:\n- {name: a, kind: syslog, url: 'tls://h/path', ca: system}\n":                                               "2:32: url: want tls://",
		"sinks:\n- {name: a, kind: fhir, url: http://h, ca: system}\n":                                                       "2:30: url: want https://",
		"sinks:\n- {name: a, kind: otlp, url: 'https://user:pw@h', ca: system}\n":                                            "2:30: url: want a host, and neither user",
		"sinks:\n- {name: a, kind: otlp, url: 'https://h?token=x', ca: system}\n":                                            "neither user, query",
		"sinks:\n- {name: a, kind: otlp, url: 'https://h:99999', ca: system}\n":                                              "no such port",
		"sinks:\n- {name: a, kind: otlp, url: ':', ca: system}\n":                                                            "not a URL",
		"sinks:\n- {name: a, kind: kafka, url: https://h, ca: system}\n":                                                     "2:19: kind: not taken; want syslog, atna, fhir or otlp",
		"sinks:\n- {name: A B, kind: otlp, url: https://h, ca: system}\n":                                                    "2:10: name: not taken",
		"sinks:\n- {name: a, kind: otlp, url: https://h, ca: relative}\n":                                                    "ca: not an absolute path",
		"sinks:\n- {name: a, kind: syslog, url: tls://h, ca: system, enterprise: 32473}\n":                                   "32473 is for examples",
		"sinks:\n- {name: a, kind: syslog, url: tls://h, ca: system, enterprise: -1}\n":                                      "enterprise: not taken",
		"sinks:\n- {name: a, kind: otlp, url: https://h, ca: system}\n- {name: a, kind: otlp, url: https://h, ca: system}\n": "3:3: name: another sink has this name",
	} {
		_, err := Parse("f", []byte(text))
		if err == nil || !strings.Contains(err.Error(), "f:") || !strings.Contains(err.Error(), want) {
			t.Errorf("%.120q: %v, want %s", text, err, want)
		}
	}
	_, err := Parse("f", []byte(one("batch: 1", "form: x", "colour: y")+"- {name: b, kind: z}\n"))
	var ps Problems
	if !errors.As(err, &ps) || len(ps) != 4 || ps[0].Line != 6 || ps[1].Line != 7 || ps[2].Line != 8 || ps[3].Line != 9 || ps[0].Sink != "a" || ps[0].Key != "batch" {
		t.Errorf("%v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	for _, s := range []string{"", "sinks:", "sinks: [{}]", "\xff", "sinks:\n- {name: a, kind: fhir, url: 'https://[::1]/', ca: system}", "? [a]\n: b"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		specs, err := Parse("f", text)
		if err == nil && (len(specs) == 0 || len(specs) > maxSinks) {
			t.Fatalf("%d sinks", len(specs))
		}
		for _, s := range specs {
			if s.URL == nil || s.URL.Hostname() == "" || s.Name == "" || s.CA == "" || s.Size < minBatch || s.Size > maxBatch {
				t.Fatalf("%+v", s)
			}
		}
	})
}

// TestFiles: what a sink names is opened when it is checked, and a secret that others may read is none.
func TestFiles(t *testing.T) {
	s := newSite(t)
	headers := func(text string, mode os.FileMode) string {
		path := s.path("headers")
		_ = os.Remove(path)
		check(t, os.WriteFile(path, []byte(text), mode))
		check(t, os.Chmod(path, mode))
		return path
	}
	for name, c := range map[string]struct{ line, says string }{
		"fine":           {"headers: " + headers("# token\nAuthorization: Bearer geheim\n", 0o600), ""},
		"no CA":          {"ca: " + s.path("none.pem"), "ca: read the CA: open"},
		"CA without any": {"ca: " + s.path("ws-1.key"), "ca: read the CA: no certificate in"},
		"key of another": {"cert: " + s.path("ws-1.pem") + "\n  key: " + s.path("server.key"), "cert: certificate"},
		"no key":         {"cert: " + s.path("ws-1.pem") + "\n  key: " + s.path("none.key"), "cert: read the key"},
		"headers gone":   {"headers: " + s.path("gone"), "headers: read the headers"},
		"link for a CA":  {"ca: " + link(t, s), "symbolic link"},
	} {
		text := "sinks:\n- name: a\n  kind: fhir\n  url: https://h/r4\n"
		if !strings.HasPrefix(c.line, "ca:") {
			text += "  ca: " + s.path("ca.pem") + "\n"
		}
		_, err := Check("f", []byte(text+"  "+c.line+"\n"))
		if (err == nil) != (c.says == "") || err != nil && (!strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "f:5:") && !strings.Contains(err.Error(), "f:6:")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for text, says := range map[string]string{
		"geheim":                    "line 1: want NAME: VALUE",
		"A: geheim\nB geheim":       "line 2: want NAME: VALUE",
		"A: ge\x01heim":             "line 1",
		"A B: geheim":               "line 1",
		"":                          "holds none",
		"# geheim":                  "holds none",
		"Content-Length: 1":         "set by Stepaway",
		"host: evil":                "set by Stepaway",
		"Transfer-Encoding: geheim": "set by Stepaway",
	} {
		_, err := Spec{Headers: headers(text, 0o600)}.headers()
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, mode := range []os.FileMode{0o644, 0o604, 0o666, 0o620} {
		if _, err := (Spec{Headers: headers("A: b", mode)}).headers(); err == nil {
			t.Errorf("mode %o taken", mode)
		}
	}
	if err := os.Chmod(s.path("ws-1.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := (Spec{Cert: s.path("ws-1.pem"), Key: s.path("ws-1.key")}).pair(); err == nil || !strings.Contains(err.Error(), "others may read") {
		t.Errorf("a key that all may read: %v", err)
	}
}

func link(t *testing.T, s *site) string {
	t.Helper()
	path := s.path("link.pem")
	if err := os.Symlink(s.path("ca.pem"), path); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	return path
}

func TestProblemIsOneLine(t *testing.T) {
	_, err := Parse("f", []byte("sinks:\n- {name: \"a\\nb\", \"k\\n\": 1}\n"))
	var ps Problems
	if !errors.As(err, &ps) {
		t.Fatal(err)
	}
	for _, p := range ps {
		if strings.ContainsAny(fmt.Sprint(p, p.Sink), "\n\r") {
			t.Errorf("%q", p)
		}
	}
}
