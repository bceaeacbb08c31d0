package policy

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// whole is a policy that sets every key, as users and scripts write it.
const whole = `version: 12
limit: 15m
warning: 5m
action: lock                      # lock | disconnect | sign-out | close-clients | close-clients-and-lock
stages: {close_clients_after: 10m, sign_out_after: 60m}
lock: {proof: locker, fallback: [/usr/bin/i3lock, -n], terminate: false}
clients:
  - name: Example EHR
    paths: [/opt/example-ehr/bin/client, /opt/example-ehr-*/bin/client]
    publisher: Example Health Inc.
    at_deadline: close
    grace: 30s
    busy_file: /run/example-ehr/busy
    busy_most: 3m
    caches: [.cache/example-ehr]
    clear_clipboard: true
class: ward
classes:
  - {name: ward, limit: 10m}
  - {name: kiosk, limit: 2m, action: close-clients, close_clients_after: 1m, sign_out_after: 1h}
roles:
  - {name: clinical, groups: [clinicians], limit: 30m, sign_out_after: 2h}
collector: {url: https://collector.clinic.example:8443, ca: /etc/stepaway/collector-ca.pem, proxy: "http://proxy.clinic.example:3128"}
approval: {required: true, allowed_signers: /etc/stepaway/allowed_signers, group: ward-3}
`

var exampleEHR = Client{Name: "Example EHR", Paths: []string{"/opt/example-ehr/bin/client", "/opt/example-ehr-*/bin/client"},
	Publisher: "Example Health Inc.", AtDeadline: Close, Grace: 30 * time.Second, BusyFile: "/run/example-ehr/busy", BusyMost: 3 * time.Minute,
	Caches: []string{".cache/example-ehr"}, ClearClipboard: true}

// client is one with nothing but what every client has.
func client(name string, at AtDeadline, grace time.Duration, paths ...string) Client {
	return Client{Name: name, Paths: paths, AtDeadline: at, Grace: grace, BusyMost: 2 * time.Minute}
}

func one(text string) []Document { return []Document{{Name: "p.yaml", Text: []byte(text)}} }

func mustParse(t *testing.T, text string) Loaded {
	t.Helper()
	l, err := Parse(one(text))
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return l
}

func TestParseWhole(t *testing.T) {
	l := mustParse(t, whole)
	want := Policy{
		Version: 12, Limit: 15 * time.Minute, Warning: 5 * time.Minute, Action: Lock,
		Stages:    Stages{CloseClientsAfter: 10 * time.Minute, SignOutAfter: time.Hour},
		Lock:      LockPolicy{Proof: ProofLocker, Fallback: []string{"/usr/bin/i3lock", "-n"}},
		Clients:   []Client{exampleEHR},
		Class:     "ward",
		Classes:   []Class{{"ward", Terms{Limit: 10 * time.Minute}}, {"kiosk", Terms{2 * time.Minute, CloseClients, time.Minute, time.Hour}}},
		Roles:     []Role{{Name: "clinical", Groups: []string{"clinicians"}, Terms: Terms{Limit: 30 * time.Minute, SignOutAfter: 2 * time.Hour}}},
		Collector: Collector{"https://collector.clinic.example:8443", "/etc/stepaway/collector-ca.pem", "http://proxy.clinic.example:3128"},
		Approval:  Approval{true, "/etc/stepaway/allowed_signers", "ward-3"},
	}
	if !reflect.DeepEqual(l.Policy, want) {
		t.Errorf("parsed to\n%+v\nwant\n%+v", l.Policy, want)
	}
	for _, d := range Definitions {
		if l.Source[d.Key] != "p.yaml" {
			t.Errorf("%s comes from %q", d.Key, l.Source[d.Key])
		}
	}
}

func TestDefaultIsStrict(t *testing.T) {
	want := Policy{Limit: 15 * time.Minute, Warning: 5 * time.Minute, Action: Lock, Lock: LockPolicy{Proof: ProofLocker}}
	if got := Default(); !reflect.DeepEqual(got, want) {
		t.Errorf("default is\n%+v\nwant\n%+v", got, want)
	}
}

// TestParseTakes holds what a value may look like, each over the default.
func TestParseTakes(t *testing.T) {
	for text, set := range map[string]func(*Policy){
		"":                                    func(*Policy) {},
		"\n\n":                                func(*Policy) {},
		"# nothing here\n":                    func(*Policy) {},
		"---\n":                               func(*Policy) {},
		"null":                                func(*Policy) {},
		"lock:\nstages: ~\n":                  func(*Policy) {},
		"limit: 5s":                           func(p *Policy) { p.Limit = 5 * time.Second },
		"limit: 24h\r\n":                      func(p *Policy) { p.Limit = 24 * time.Hour },
		"limit: \"1h30m\"":                    func(p *Policy) { p.Limit = 90 * time.Minute },
		"\"limit\": '20m'":                    func(p *Policy) { p.Limit = 20 * time.Minute },
		"{limit: 20m, warning: 0s}":           func(p *Policy) { p.Limit, p.Warning = 20*time.Minute, 0 },
		"warning: 1h":                         func(p *Policy) { p.Warning = time.Hour },
		"action: disconnect":                  func(p *Policy) { p.Action = Disconnect },
		"action: sign-out":                    func(p *Policy) { p.Action = SignOut },
		"action: close-clients":               func(p *Policy) { p.Action = CloseClients },
		"action: close-clients-and-lock":      func(p *Policy) { p.Action = CloseClientsAndLock },
		"stages: {sign_out_after: 168h}":      func(p *Policy) { p.Stages.SignOutAfter = 168 * time.Hour },
		"stages: {close_clients_after: 0s}":   func(*Policy) {},
		"stages:\n  close_clients_after: 1s":  func(p *Policy) { p.Stages.CloseClientsAfter = time.Second },
		"lock: {proof: claim}":                func(p *Policy) { p.Lock.Proof = ProofClaim },
		"lock: {proof: greeter}":              func(p *Policy) { p.Lock.Proof = ProofGreeter },
		"lock: {terminate: true}":             func(p *Policy) { p.Lock.Terminate = true },
		"lock: {fallback: []}":                func(*Policy) {},
		"lock:\n  fallback:\n  - /bin/l\n":    func(p *Policy) { p.Lock.Fallback = []string{"/bin/l"} },
		"clients: []\nroles: []":              func(*Policy) {},
		"clients: [{name: a, paths: [/a]}]":   func(p *Policy) { p.Clients = []Client{client("a", Close, 30*time.Second, "/a")} },
		"roles: [{name: a, groups: [Ärzte]}]": func(p *Policy) { p.Roles = []Role{{Name: "a", Groups: []string{"Ärzte"}}} },
		"collector: {url: \"\"}":              func(*Policy) {},
		"collector: {url: https://h/}":        func(p *Policy) { p.Collector.URL = "https://h/" },
		"collector: {url: 'https://[::1]:1'}": func(p *Policy) { p.Collector.URL = "https://[::1]:1" },
		"approval: {allowed_signers: /k, required: true}": func(p *Policy) { p.Approval = Approval{true, "/k", ""} },
		"version: 2147483647":                             func(p *Policy) { p.Version = 1<<31 - 1 },
		"classes: [{name: a}]\nclass: a":                  func(p *Policy) { p.Class, p.Classes = "a", []Class{{Name: "a"}} },
		"collector: {ca: 'C:\\ProgramData\\ca.pem'}":      func(p *Policy) { p.Collector.CA = `C:\ProgramData\ca.pem` },
		"clients: [{name: a, paths: [/a], at_deadline: end, grace: 0s}, {name: b, paths: [/b, /c], at_deadline: leave, grace: 10m}]": func(p *Policy) {
			p.Clients = []Client{client("a", End, 0, "/a"), client("b", Leave, 10*time.Minute, "/b", "/c")}
		},
		"roles: [{name: a, groups: [g, h], limit: 5s, action: sign-out}]": func(p *Policy) {
			p.Roles = []Role{{"a", []string{"g", "h"}, Terms{Limit: 5 * time.Second, Action: SignOut}}}
		},
	} {
		want := Default()
		set(&want)
		if got := mustParse(t, text).Policy; !reflect.DeepEqual(normal(got), normal(want)) {
			t.Errorf("%q parsed to\n%+v\nwant\n%+v", text, got, want)
		}
	}
}

// normal makes empty lists nil, which mean the same.
func normal(p Policy) Policy {
	if len(p.Lock.Fallback) == 0 {
		p.Lock.Fallback = nil
	}
	if len(p.Clients) == 0 {
		p.Clients = nil
	}
	if len(p.Roles) == 0 {
		p.Roles = nil
	}
	if len(p.Classes) == 0 {
		p.Classes = nil
	}
	return p
}

// TestParseRefuses holds the place of each problem and a part of its text.
func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ text, where, says string }{
		// values
		{"limit: 900", "1:8: limit", `"900" is not a duration; write it like 15m`},
		{"limit: 0", "1:8: limit", "0s is out of bounds; from 5s to 24h"},
		{"limit: 0s", "1:8: limit", "out of bounds"},
		{"limit: 4999ms", "1:8: limit", "out of bounds"},
		{"limit: 24h0m1s", "1:8: limit", "out of bounds"},
		{"limit: -15m", "1:8: limit", "out of bounds"},
		{"limit: 99999999999h", "1:8: limit", "not a duration"},
		{"limit: .nan", "1:8: limit", "not a duration"},
		{"limit: .inf", "1:8: limit", "not a duration"},
		{"limit: NaN", "1:8: limit", "not a duration"},
		{"limit: 1e9s", "1:8: limit", "not a duration"},
		{"limit: off", "1:8: limit", "not a duration"},
		{"limit: never", "1:8: limit", "not a duration"},
		{"limit: ''", "1:8: limit", "not a duration"},
		{"limit: 15 m", "1:8: limit", "not a duration"},
		{"limit: 2024-01-01", "1:8: limit", "not a duration"},
		{"limit:", "1:7: limit", "missing"},
		{"limit: ~", "1:8: limit", "missing"},
		{"limit: [15m]", "1:8: limit", "expected one value"},
		{"limit: {a: 15m}", "1:8: limit", "expected one value"},
		{"limit: |\n  15m\n", "1:8: limit", "cannot be printed"},
		{"limit: \"15m\\0\"", "1:8: limit", "cannot be printed"},
		{"limit: " + strings.Repeat("1", 1025), "1:8: limit", "longer than 1024"},
		{"warning: 61m", "1:10: warning", "from 0s to 1h is allowed"},
		{"warning: -1s", "1:10: warning", "out of bounds"},
		{"action: Lock", "1:9: action", "is not one of close-clients, lock"},
		{"action: none", "1:9: action", "is not one of"},
		{"action: off", "1:9: action", "is not one of"},
		{"action: \"\"", "1:9: action", "is not one of"},
		{"stages: {sign_out_after: 1ms}", "1:26: stages.sign_out_after", "out of bounds; from 1s to 168h"},
		{"stages: {sign_out_after: 169h}", "1:26: stages.sign_out_after", "out of bounds"},
		{"stages: {close_clients_after: 25h}", "1:31: stages.close_clients_after", "out of bounds"},
		{"lock: {proof: none}", "1:15: lock.proof", "is not one of claim, locker, greeter"},
		{"lock: {proof: ended}", "1:15: lock.proof", "is not one of"},
		{"lock: {terminate: yes}", "1:19: lock.terminate", `"yes" is not one of false, true`},
		{"lock: {terminate: 1}", "1:19: lock.terminate", "is not one of"},
		{"lock: {fallback: i3lock}", "1:18: lock.fallback", "expected a list"},
		{"lock: {fallback: [i3lock]}", "1:19: lock.fallback", "not a clean absolute path"},
		{"lock: {fallback: [bin/i3lock]}", "1:19: lock.fallback", "not a clean absolute path"},
		{"lock: {fallback: [/usr/bin/../bin/i3lock]}", "1:19: lock.fallback", "not a clean absolute path"},
		{"lock: {fallback: [/usr//bin/i3lock]}", "1:19: lock.fallback", "not a clean absolute path"},
		{"lock: {fallback: [/]}", "1:19: lock.fallback", "not a clean absolute path"},
		{"lock: {fallback: [/a, '']}", "1:23: lock.fallback", "empty"},
		{"lock: {fallback: [/a, [b]]}", "1:23: lock.fallback", "expected one value"},
		{"lock: {fallback: [/a, ~]}", "1:23: lock.fallback", "missing"},
		{"lock: {fallback: [\"/a\\0b\"]}", "1:19: lock.fallback", "cannot be printed"},
		{"lock: {fallback: [/a, \"\\u202e\"]}", "1:23: lock.fallback", "cannot be printed"},
		{"collector: {url: http://collector.example}", "1:18: collector.url", "is not an address like https://"},
		{"collector: {url: collector.example}", "1:18: collector.url", "not an address"},
		{"collector: {url: https://}", "1:18: collector.url", "not an address"},
		{"collector: {url: 'https:h'}", "1:18: collector.url", "not an address"},
		{"collector: {url: https://u:p@h}", "1:18: collector.url", "not an address"},
		{"collector: {url: https://u@h}", "1:18: collector.url", "not an address"},
		{"collector: {url: https://h/path}", "1:18: collector.url", "not an address"},
		{"collector: {url: 'https://h?'}", "1:18: collector.url", "not an address"},
		{"collector: {url: 'https://h?a=b'}", "1:18: collector.url", "not an address"},
		{"collector: {url: 'https://h#'}", "1:18: collector.url", "not an address"},
		{"collector: {url: 'https://h:'}", "1:18: collector.url", "not an address"},
		{"collector: {url: 'https://h:0'}", "1:18: collector.url", "not an address"},
		{"collector: {url: 'https://h:99999'}", "1:18: collector.url", "not an address"},
		{"collector: {url: 'https://h:x'}", "1:18: collector.url", "not an address"},
		{"collector: {url: 'https://%E2%80%AEh'}", "1:18: collector.url", "not an address"},
		{"collector: {url: 'https://a b'}", "1:18: collector.url", "not an address"},
		{"collector: {proxy: 'http://h'}", "1:20: collector.proxy", "not an address"},
		{"collector: {proxy: 'socks5://h:1'}", "1:20: collector.proxy", "not an address"},
		{"collector: {proxy: 'http://u:p@h:1'}", "1:20: collector.proxy", "not an address"},
		{"collector: {proxy: 'http://h:1/x'}", "1:20: collector.proxy", "not an address"},
		{"collector: {proxy: 'h:3128'}", "1:20: collector.proxy", "not an address"},
		{"collector: {ca: ca.pem}", "1:17: collector.ca", "not a clean absolute path"},
		{"approval: {allowed_signers: ~/keys}", "1:29: approval.allowed_signers", "not a clean absolute path"},
		// clients and roles
		{"clients: {name: a}", "1:10: clients", "expected a list"},
		{"clients:", "1:9: clients", "expected a list"},
		{"clients: [a]", "1:11: clients", "expected keys and values"},
		{"clients: [{name: a}]", "1:11: clients", `"a" has no paths`},
		{"clients: [{paths: [/a]}]", "1:11: clients", "name is missing"},
		{"clients: [{name: '=a', paths: [/a]}]", "1:18: clients", "use at most 64"},
		{"clients: [{name: " + strings.Repeat("a", 65) + ", paths: [/a]}]", "1:18: clients", "use at most 64"},
		{"clients: [{name: a, paths: [/a]}, {name: a, paths: [/b]}]", "1:35: clients", "stands twice"},
		{"clients: [{name: a, paths: [/a, b]}]", "1:33: clients", `paths: "b" is not a clean absolute path`},
		{"clients: [{name: a, paths: [/a], title: x}]", "1:34: clients", `unknown key "title"`},
		{"clients: [{name: a, name: b, paths: [/a]}]", "1:21: clients", "stands twice"},
		{"clients: [{name: a, paths: [/a], at_deadline: kill}]", "1:47: clients", "is not one of leave, close, end"},
		{"clients: [{name: a, paths: [/a], grace: 11m}]", "1:41: clients", "out of bounds; from 0s to 10m"},
		{"clients: [{name: a, paths: [/a], grace: 30}]", "1:41: clients", "grace: \"30\" is not a duration"},
		{"roles: [{name: a}]", "1:9: roles", `"a" has no groups`},
		{"roles: [{groups: [a]}]", "1:9: roles", "name is missing"},
		{"roles: [{name: a, groups: [g], limit: 0s}]", "1:39: roles", "limit: 0s is out of bounds"},
		{"roles: [{name: a, groups: [g], limit: 25h}]", "1:39: roles", "out of bounds"},
		{"roles: [{name: a, groups: [g], action: none}]", "1:40: roles", "is not one of"},
		{"roles: [{name: a, groups: g}]", "1:27: roles", "groups: expected a list"},
		{"roles: [{name: a, groups: [\"x\\e\"]}]", "1:28: roles", "cannot be printed"},
		{"roles: [" + strings.Repeat("a,", 257) + "]", "1:8: roles", "257 entries, at most 256"},
		// what does not fit together
		{"class: ward", "1:8: class", `no class "ward"; those that are defined: none`},
		{"classes: [{name: a}, {name: b}]\nclass: c", "2:8: class", "those that are defined: a, b"},
		{"approval: {required: true}", "1:22: approval.required", "needs approval.allowed_signers"},
		{"version: -1", "1:10: version", "not a whole number from 0 to 2147483647"},
		{"version: 2147483648", "1:10: version", "not a whole number"},
		{"version: 1.5", "1:10: version", "not a whole number"},
		{"version: 0x10", "1:10: version", "not a whole number"},
		{"classes: [{name: a, groups: [b]}]", "1:21: classes", `unknown key "groups"`},
		{"clients: [{name: a, paths: [/a], caches: [/etc]}]", "1:43: clients", "not a clean path below the home"},
		{"clients: [{name: a, paths: [/a], caches: [../x]}]", "1:43: clients", "not a clean path below the home"},
		{"clients: [{name: a, paths: [/a], caches: ['..\\x']}]", "1:43: clients", "not a clean path below the home"},
		{"clients: [{name: a, paths: [/a], caches: [.]}]", "1:43: clients", "not a clean path below the home"},
		{"clients: [{name: a, paths: ['\\\\srv\\x.exe']}]", "1:29: clients", "not a clean absolute path"},
		{"clients: [{name: a, paths: ['C:\\x\\..\\y.exe']}]", "1:29: clients", "not a clean absolute path"},
		// keys
		{"limits: 15m", "1:1", `unknown key "limits"; known here: version, limit, warning, action, stages`},
		{"Limit: 15m", "1:1", "unknown key"},
		{"1: 15m", "1:1", "unknown key"},
		{"'': 15m", "1:1", "unknown key"},
		{"lock: {proofs: claim}", "1:8", `unknown key "proofs"; known here: proof, fallback, terminate`},
		{"lock: {'': claim}", "1:8", "unknown key"},
		{"lock.proof: claim", "1:1", "write a section"},
		{"lock: {proof.x: claim}", "1:8", "write a section"},
		{"'<<': {limit: 24h}", "1:1", "unknown key"},
		{"limit: 15m\nlimit: 20m", "2:1", `key "limit" stands twice`},
		{"limit: 15m\n'limit': 20m", "2:1", "stands twice"},
		{"lock: {proof: locker, proof: claim}", "1:23: lock", "stands twice"},
		{"lock: {proof: locker}\nlock: {proof: claim}", "2:1", "stands twice"},
		{"? [limit]\n: 15m", "1:3", "a key must be a word"},
		{"? {limit: 1}\n: 15m", "1:3", "a key must be a word"},
		{"lock: 5", "1:7: lock", "expected keys and values"},
		{"lock: [proof]", "1:7: lock", "expected keys and values"},
		{"- limit", "1:1", "expected keys and values"},
		{"15m", "1:1", "expected keys and values"},
		// what YAML can and a policy may not
		{"limit: &a 15m", "1:8", "anchors, aliases, tags and merge keys are not allowed"},
		{"limit: &a 15m\nwarning: *a", "1:8", "not allowed"},
		{"limit: *a", "1:1", "not YAML: unknown anchor"},
		{"<<: {limit: 20m}", "1:1", "not allowed"},
		{"lock: {<<: {proof: claim}}", "1:8", "not allowed"},
		{"limit: !!str 15m", "1:8", "not allowed"},
		{"limit: !x 15m", "1:8", "not allowed"},
		{"!!map {limit: 15m}", "1:1", "not allowed"},
		{"limit: !!binary MTVt", "1:8", "not allowed"},
		{"roles: [&a {name: a, groups: [g]}]", "1:9", "not allowed"},
		{"limit: 15m\n---\nlimit: 20m", "2:1", "a second document begins here"},
		{"limit: 15m\n---\n", "2:1", "a second document"},
		{"---\n---\nlimit: 20m", "2:1", "a second document"},
		// text
		{"\ufefflimit: 15m", "1:1", "U+FEFF"},
		{"limit: 15m\n\ufeffwarning: 1m", "2:1", "U+FEFF"},
		{"\xff\xfel\x00", "1:1", "not UTF-8"},
		{"limit: 15m # \xc3\x28", "1:1", "not UTF-8"},
		{"limit: 15m\x00", "1:11", "U+0000"},
		{"limit: 15m\n# \x07", "2:3", "U+0007"},
		{"limit: 15m # \x1b[2J", "1:14", "U+001B"},
		{"# note\u0085limit: 24h", "1:7", "U+0085"},
		{"# note\rlimit: 24h", "1:7", "U+000D"},
		{"# note\u2028limit: 24h", "1:7", "U+2028"},
		{"# note\u2029limit: 24h", "1:7", "U+2029"},
		{"limit: 15m # \u202e", "1:14", "U+202E"},
		{strings.Repeat("#", MaxFile+1), "1:1", "larger than 256 KiB"},
		{"limit: [", "1:1", "not YAML"},
		{"limit: 15m\nlock: 'a", "2:1", "not YAML: found unexpected end of stream"},
		{"limit: '15m", "1:1", "not YAML"},
		{"\tlimit: 15m", "1:1", "not YAML"},
		{"limit: 15m\n...\n{", "2:1", "not YAML"},
		{strings.Repeat("[", 20000), "1:1", "not YAML: exceeded max depth"},
		{strings.Repeat("{a: ", 20000), "1:1", "not YAML: exceeded max depth"},
		{strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "1:1", "expected keys and values"},
	} {
		l, err := Parse(one(c.text))
		var ps Problems
		if !errors.As(err, &ps) || len(ps) == 0 {
			t.Errorf("%.60q: error %v, want Problems", c.text, err)
			continue
		}
		if got := ps[0].String(); !strings.HasPrefix(got, "p.yaml:"+c.where+": ") || !strings.Contains(got, c.says) {
			t.Errorf("%.60q:\n got %s\nwant p.yaml:%s: ... %s", c.text, got, c.where, c.says)
		}
		if !reflect.DeepEqual(l, Loaded{}) {
			t.Errorf("%.60q: a policy came out beside the error: %+v", c.text, l)
		}
		if s := err.Error(); strings.ContainsAny(s, "\x00\x07\x1b\n\r") || len(s) > 1500 {
			t.Errorf("%.60q: the error is not fit for a terminal: %q", c.text, s)
		}
	}
}

func TestParseReportsEverything(t *testing.T) {
	docs := []Document{
		{Name: "a.yaml", Text: []byte("limit: 1s\nfoo: 1\nlimit: 2s\nbar: 2\nlock: {proof: none, x: y, terminate: 7}\n")},
		{Name: "b.yaml", Text: []byte("limit: 15m\n")},
		{Name: "c.yaml", Text: []byte("clients:\n- {name: a, paths: [a], grace: 1, z: 1}\n- {name: b}\n- {name: c, paths: [/c]}\n- {name: c, paths: [/d]}\n")},
		{Name: "d.yaml", Text: []byte("limit: [")},
		{Name: "e.yaml", Text: []byte("\x00")},
		{Name: "f.yaml", Text: []byte("roles: [{name: a, groups: [g], limit: 1s, action: x}]")},
	}
	_, err := Parse(docs)
	var ps Problems
	if !errors.As(err, &ps) {
		t.Fatal(err)
	}
	want := []string{
		"a.yaml:3:1: key", "a.yaml:1:8: limit: 1s is", "a.yaml:2:1: unknown", "a.yaml:4:1: unknown",
		"a.yaml:5:15: lock.proof", "a.yaml:5:21: unknown", "a.yaml:5:38: lock.terminate",
		"c.yaml:2:21: clients: \"a\": paths", "c.yaml:2:32: clients: \"a\": grace", "c.yaml:2:35: clients: \"a\": unknown",
		"c.yaml:3:3: clients: \"b\" has no paths", "c.yaml:5:3: clients: name",
		"d.yaml:1:1: not YAML", "e.yaml:1:1: holds", "f.yaml:1:39: roles: \"a\": limit", "f.yaml:1:51: roles: \"a\": action",
	}
	for i, p := range ps {
		if i < len(want) && !strings.HasPrefix(p.String(), want[i]) {
			t.Errorf("problem %d is %s\nwant %s", i, p, want[i])
		}
	}
	if len(ps) != len(want) {
		t.Errorf("%d problems, want %d: %q", len(ps), len(want), ps)
	}
	if s := err.Error(); !strings.HasSuffix(s, fmt.Sprintf("(and %d more)", len(want)-1)) {
		t.Errorf("error says %q", s)
	}
}

func TestParseOverrides(t *testing.T) {
	l, err := Parse([]Document{
		{Name: "main", Text: []byte(whole)},
		{Name: "10", Text: []byte("limit: 10m\nlock: {terminate: true}\nroles: [{name: x, groups: [y]}]\n")},
		{Name: "20", Text: []byte("# nothing\n")},
		{Name: "30", Text: []byte("limit: 7m\nclients: []\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := mustParse(t, whole).Policy
	want.Limit, want.Lock.Terminate, want.Clients = 7*time.Minute, true, nil
	want.Roles = []Role{{Name: "x", Groups: []string{"y"}}}
	if !reflect.DeepEqual(normal(l.Policy), want) {
		t.Errorf("parsed to\n%+v\nwant\n%+v", l.Policy, want)
	}
	for key, src := range map[string]string{"limit": "30", "lock.terminate": "10", "roles": "10", "clients": "30", "warning": "main", "lock.proof": "main"} {
		if l.Source[key] != src {
			t.Errorf("%s comes from %q, want %q", key, l.Source[key], src)
		}
	}
}

// TestWrongChangesNothing puts each kind of wrong document before, between and after right ones.
func TestWrongChangesNothing(t *testing.T) {
	for _, bad := range []string{"limit: 0s", "foo: 1", "[", "\x00", "limit: 24h\naction: off", "---\n---\n"} {
		for at := range 3 {
			docs := []Document{{Name: "a", Text: []byte("limit: 10m")}, {Name: "b", Text: []byte("warning: 1m")}}
			docs = slices.Insert(docs, at, Document{Name: "bad", Text: []byte(bad)})
			if l, err := Parse(docs); err == nil || !reflect.DeepEqual(l, Loaded{}) {
				t.Errorf("%q at %d: %+v, %v", bad, at, l, err)
			}
		}
	}
	if got := Default(); got.Limit != 15*time.Minute || got.Lock.Proof != ProofLocker {
		t.Errorf("the default has changed: %+v", got)
	}
}

// TestLargestFileIsQuick: what root wrote by mistake must not hold up the agent.
func TestLargestFileIsQuick(t *testing.T) {
	var keys strings.Builder
	for i := 0; keys.Len() < MaxFile-20; i++ {
		fmt.Fprintf(&keys, "k%x: 1\n", i)
	}
	for name, text := range map[string]string{
		"keys":     keys.String(),
		"same key": strings.Repeat("a: 1\n", MaxFile/5),
		"entries":  "clients: [" + strings.Repeat("a,", MaxFile/2-20) + "]",
		"dashes":   strings.Repeat("-\n", MaxFile/2),
		"spaces":   strings.Repeat(" ", MaxFile),
		"quotes":   "a: \"" + strings.Repeat("\\\n", MaxFile/2-10) + "\"",
	} {
		began := time.Now()
		_, err := Parse(one(text))
		var ps Problems
		if errors.As(err, &ps) && len(ps) > maxProblems {
			t.Errorf("%s: %d problems", name, len(ps))
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s took %s", name, took)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(whole)
	for _, d := range Definitions {
		head, tail, sub := strings.Cut(d.Key, ".")
		if sub {
			f.Add(fmt.Sprintf("%s: {%s: %s}", head, tail, d.Default))
		} else {
			f.Add(head + ": " + d.Default)
		}
	}
	for _, s := range []string{"limit: .nan", "limit: 0", "limit: &a 15m", "<<: {limit: 99h}", "--- \n...\n---", "lock.proof: none",
		"limit: 15m\r\n", "? [a]\n: b", "clients: [{name: a, paths: [/a], grace: 1s}]", "roles: [{name: a, groups: [b], limit: 5s}]",
		"%YAML 1.1\n---\nlimit: 20m", "lock: {proof: \"\\u006eone\"}", "{{{", "- - - -", "\ufeff", "limit: |2-\n  15m", "# \u2028limit: 1s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, err := Parse(one(text))
		if err != nil {
			var ps Problems
			if !errors.As(err, &ps) || !reflect.DeepEqual(l, Loaded{}) {
				t.Fatalf("%q: %+v beside %v", text, l, err)
			}
			for _, p := range ps {
				if p.Line < 1 || p.Column < 1 || p.File != "p.yaml" || p.Text == "" {
					t.Fatalf("%q: problem without a place: %+v", text, p)
				}
			}
			return
		}
		if bad := unsafe(&l.Policy); bad != "" {
			t.Fatalf("%q: %s: %+v", text, bad, l.Policy)
		}
		l.Policy.Hash()
		l.Policy.Advice()
		if n := len(l.Settings()); n != len(Definitions) {
			t.Fatalf("%q: %d settings", text, n)
		}
	})
}

// unsafe says what no policy that was taken may hold.
func unsafe(p *Policy) string {
	known := []Action{CloseClients, Lock, CloseClientsAndLock, Disconnect, SignOut}
	within := func(d time.Duration) bool { return d >= 5*time.Second && d <= 24*time.Hour }
	switch {
	case !within(p.Limit):
		return "limit"
	case p.Warning < 0 || p.Warning > time.Hour:
		return "warning"
	case !slices.Contains(known, p.Action):
		return "action"
	case !slices.Contains([]Proof{ProofClaim, ProofLocker, ProofGreeter}, p.Lock.Proof):
		return "proof"
	case p.Stages.CloseClientsAfter < 0 || p.Stages.SignOutAfter < 0:
		return "stages"
	case len(p.Lock.Fallback) > 0 && !strings.HasPrefix(p.Lock.Fallback[0], "/"):
		return "fallback"
	case p.Collector.URL != "" && !strings.HasPrefix(strings.ToLower(p.Collector.URL), "https://"):
		return "collector"
	}
	for _, r := range p.Roles {
		e := p.For(r.Groups)
		if !within(e.Limit) || e.Warning > e.Limit/2 || !slices.Contains(known, e.Action) || r.Name == "" {
			return "role"
		}
	}
	for _, c := range p.Clients {
		if c.Name == "" || len(c.Paths) == 0 || c.Grace < 0 || c.Grace > 10*time.Minute || !slices.Contains([]AtDeadline{Close, End, Leave}, c.AtDeadline) {
			return "client"
		}
	}
	return ""
}
