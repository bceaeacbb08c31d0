package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"stepaway/policy"
)

// validated asks an implementation of JSON Schema and YAML that is not ours for the errors of each document.
func validated(t *testing.T, documents []string) [][]string {
	t.Helper()
	in, err := json.Marshal(map[string]any{"schema": json.RawMessage(Schema()), "documents": documents})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/usr/bin/python3", "testdata/validate.py")
	cmd.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("validate with python3-jsonschema and python3-yaml: %v; run `make deps`\n%s", err, stderr.Bytes())
	}
	var errs [][]string
	if err := json.Unmarshal(out, &errs); err != nil {
		t.Fatal(err)
	}
	return errs
}

// verdict is one document with what the two readers say.
type verdict struct {
	text          string
	parse, schema bool // whether it is taken
}

// TestSchemaAgreesWithParse on each of these, but where it says why not.
func TestSchemaAgreesWithParse(t *testing.T) {
	cases := append(agreed(), apart...)
	var texts []string
	for _, c := range cases {
		texts = append(texts, c.text)
	}
	for i, errs := range validated(t, texts) {
		c := cases[i]
		_, err := policy.Parse([]policy.Document{{Name: "p.yaml", Text: []byte(c.text)}})
		if (err == nil) != c.parse {
			t.Errorf("%s\nParse: %v, expected to be taken: %v", c.text, err, c.parse)
		}
		if (len(errs) == 0) != c.schema {
			t.Errorf("%s\nschema: %q, expected to be taken: %v", c.text, errs, c.schema)
		}
	}
	t.Logf("%d documents", len(cases))
}

// agreed are documents that both take or both refuse: some by hand, more from the table.
func agreed() []verdict {
	var out []verdict
	add := func(taken bool, texts ...string) {
		for _, s := range texts {
			out = append(out, verdict{s, taken, taken})
		}
	}
	add(true, "", "# nothing\n", "limit: 10m", "limit: 1h30m\nwarning: 0", "warning: 0s", "limit: 1.5h", "limit: +15m", "limit: 900000ms", "lock:\n", "lock: {}",
		"lock: {proof: greeter, fallback: [/usr/bin/i3lock, -n], terminate: true}", "version: 7", "clients: []", "stages: {sign_out_after: 168h}",
		"stages: {sign_out_after: 0}", "collector: {url: ''}", "collector: {url: 'https://[::1]:8443/'}", `collector: {ca: 'C:\ProgramData\ca.pem'}`,
		"class: a\nclasses: [{name: a}]", "approval: {required: true, allowed_signers: /etc/s, group: g}",
		"clients: [{name: a, paths: [/a, /b/*/c], caches: [.a/b], grace: 0s, busy_most: 10m, clear_clipboard: false}]",
		string(Example()), string(uncommented()))
	add(false, "limit:", "limit: 15", "limit: soon", "limit: 15 m", "limit: -15m", "limit: 1m30", "limit: 0", "limit: [15m]", "limit: {a: 1m}", "limit: m", "limit: ''",
		"warning: -1", "version: -1", "version: 1.5", "version: many", "version: 2147483648", "action: off", "action: Lock", "action:", "terminate: true",
		"lock: {terminate: on and off}", "lock: [a]", "lock: lock", "lock: {proof: none}", "lock: {fallback: /usr/bin/i3lock}", "lock: {fallback: ['']}", "lock.proof: locker",
		"stages: {close_clients_after: never}", "clients: {}", "clients:", "clients: [a]", "clients: [{}]", "clients: [{name: a}]", "clients: [{paths: [/a]}]",
		"clients: [{name: a, paths: []}]", "clients: [{name: a, paths: [a]}]", "clients: [{name: '', paths: [/a]}]", "clients: [{name: 'a?', paths: [/a]}]",
		"clients: [{name: a, paths: [/a], speed: 9}]", "clients: [{name: a, paths: [/a], at_deadline: maybe}]", "clients: [{name: a, paths: [/a], caches: [/a]}]",
		"clients: [{name: a, paths: [/a], publisher: "+strings.Repeat("p", 257)+"}]", "roles: [{name: a}]", "roles: [{name: a, groups: [b], grace: 1m}]",
		"class: "+strings.Repeat("c", 65), "collector: {url: 'http://a'}", "collector: {url: https://a/b}", "collector: {ca: ca.pem}", "approval: {group: '@a'}",
		"- limit: 10m", "limit", "lock: {fallback: [/"+strings.Repeat("a, ", 257)+"a]}")
	for _, d := range policy.Definitions {
		for _, s := range fromTable(d) {
			add(s.parse, underSection(d.Key, s.text))
		}
	}
	return out
}

// fromTable are values of a definition that both readers take or refuse.
func fromTable(d policy.Definition) []verdict {
	var out []verdict
	add := func(taken bool, s string) { out = append(out, verdict{s, taken, taken}) }
	if d.Default != "" {
		add(true, d.Default)
	}
	if d.Example != "" && d.Key != "class" {
		add(true, d.Example)
	}
	switch d.Kind {
	case policy.KindDuration:
		add(true, policy.Duration(d.Min))
		add(true, policy.Duration(d.Max))
		add(false, "true")
	case policy.KindNumber:
		add(true, fmt.Sprint(d.Most))
		add(false, fmt.Sprint(d.Most+1))
	case policy.KindWord, policy.KindSwitch:
		for _, w := range d.Words {
			if d.Key != "approval.required" { // which needs another setting beside it
				add(true, w)
			}
		}
		add(false, "neither")
	case policy.KindText:
		add(false, "["+d.Example+"]")
		add(false, "")
	default:
		add(false, "text")
		add(false, "")
	}
	return append(out, fieldsFromTable(d)...)
}

// fieldsFromTable are lists of one entry, in which all fields are right but perhaps one.
func fieldsFromTable(d policy.Definition) []verdict {
	needed := "name: a"
	for _, f := range d.Fields {
		if f.Required && f.Key != "name" {
			needed += ", " + f.Key + ": " + f.Example
		}
	}
	var out []verdict
	for _, f := range d.Fields {
		if f.Required {
			continue
		}
		for _, s := range fromTable(f) {
			s.text = "[{" + needed + ", " + f.Key + ": " + s.text + "}]"
			out = append(out, s)
		}
	}
	return out
}

func underSection(key, value string) string {
	if section, name, nested := strings.Cut(key, "."); nested {
		return section + ": {" + name + ": " + value + "}"
	}
	return key + ": " + value
}

// apart are documents on which the two do not agree, and why.
var apart = []verdict{
	// A pattern cannot count: bounds of durations are for policy check.
	{"limit: 1s", false, true},
	{"limit: 25h", false, true},
	{"stages: {close_clients_after: 1ms}", false, true},
	{"limit: 0s", false, true},
	// What two settings mean together may be in two files, so that a schema of one file does not ask for it.
	{"class: ward", false, true},
	{"approval: {required: true}", false, true},
	// uniqueItems compares whole entries and not their names.
	{"roles: [{name: a, groups: [b]}, {name: a, groups: [c]}]", false, true},
	// Clean paths, the first element of a command and addresses are more than their patterns.
	{"lock: {fallback: [i3lock]}", false, true},
	{"collector: {ca: /a/../b}", false, true},
	{"collector: {url: 'https://a:99999'}", false, true},
	{"clients: [{name: a, paths: [/a], caches: [a/../../b]}]", false, true},
	// Lengths are bytes in one and characters in the other.
	{"clients: [{name: a, paths: [/a], publisher: " + strings.Repeat("é", 200) + "}]", false, true},
	// The text of YAML, which a schema never sees: keys that stand twice, anchors, tags.
	{"limit: 10m\nlimit: 20m", false, true},
	{"limit: &a 10m", false, true},
	{"limit: !!str 10m", false, true},
	// Written otherwise than plainly: Parse reads the text of a value and does not mind quotes, or their absence.
	{"version: '12'", true, false},
	{"lock: {terminate: 'true'}", true, false},
	{"roles: [{name: 12, groups: [1001]}]", true, false},
	{"warning: -0s", true, false},
}
