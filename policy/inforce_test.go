package policy

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// terms4 is an Effective without its stages and provenance.
type terms4 struct {
	Limit, Warning time.Duration
	Action         Action
	Role           string
}

func terms4Of(e Effective) terms4 { return terms4{e.Limit, e.Warning, e.Action, e.Role} }

func TestFor(t *testing.T) {
	const roles = `
roles:
- {name: clinical, groups: [clinicians, nurses], limit: 30m}
- {name: kiosk, groups: [kiosk], limit: 1m, action: close-clients}
- {name: strict, groups: [pharmacy], limit: 6m, action: sign-out}
- {name: word, groups: [word], action: disconnect}
- {name: plain, groups: [plain]}
`
	p := mustParse(t, roles).Policy
	m := time.Minute
	for _, c := range []struct {
		groups string
		want   terms4
	}{
		{"", terms4{15 * m, 5 * m, Lock, ""}},
		{"strangers root", terms4{15 * m, 5 * m, Lock, ""}},
		{"clinical", terms4{15 * m, 5 * m, Lock, ""}}, // a role's name is no group
		{"clinicians", terms4{30 * m, 5 * m, Lock, "clinical"}},
		{"x nurses y", terms4{30 * m, 5 * m, Lock, "clinical"}},
		{"kiosk", terms4{m, 30 * time.Second, CloseClients, "kiosk"}},
		{"pharmacy", terms4{6 * m, 3 * m, SignOut, "strict"}},
		{"word", terms4{15 * m, 5 * m, Disconnect, ""}},
		{"plain", terms4{15 * m, 5 * m, Lock, ""}},
		{"clinicians plain", terms4{15 * m, 5 * m, Lock, ""}},
		{"clinicians word", terms4{15 * m, 5 * m, Disconnect, ""}},
		{"clinicians pharmacy", terms4{6 * m, 3 * m, SignOut, "strict"}},
		{"pharmacy clinicians", terms4{6 * m, 3 * m, SignOut, "strict"}},
		{"kiosk pharmacy", terms4{m, 30 * time.Second, SignOut, "kiosk"}},
		{"kiosk clinicians", terms4{m, 30 * time.Second, Lock, "kiosk"}},
		{"CLINICIANS", terms4{15 * m, 5 * m, Lock, ""}},
		{"S-1-5-32-545 CLINICIANS", terms4{30 * m, 5 * m, Lock, "clinical"}}, // Windows
	} {
		if got := terms4Of(p.For(strings.Fields(c.groups))); got != c.want {
			t.Errorf("For(%s) = %+v, want %+v", c.groups, got, c.want)
		}
	}
	if got := mustParse(t, "limit: 7s\nwarning: 1h").Policy; got.For(nil).Warning != 3500*time.Millisecond {
		t.Errorf("warning %s, want half of the limit", got.For(nil).Warning)
	}
	if got := mustParse(t, "warning: 0s").Policy; got.For(nil).Warning != 0 {
		t.Errorf("warning %s, want none", got.For(nil).Warning)
	}
}

// TestForIsTheStrictest: belonging to one more role never makes a user of several roles less strict than the
// strictest of them alone.
func TestForIsTheStrictest(t *testing.T) {
	r := random(2)
	strict := map[Action]int{CloseClients: 0, Lock: 1, CloseClientsAndLock: 2, Disconnect: 3, SignOut: 4}
	for range 1000 {
		p := randomPolicy(r)
		p.Class = ""
		var groups []string
		var limits []time.Duration
		var strictest []int
		for _, role := range p.Roles {
			if r.IntN(2) == 0 {
				continue
			}
			groups = append(groups, role.Groups[r.IntN(len(role.Groups))])
		}
		for _, role := range p.Roles {
			if slices.ContainsFunc(role.Groups, func(g string) bool { return slices.Contains(groups, g) }) {
				alone := p
				alone.Roles = []Role{role}
				e := alone.For(groups)
				limits, strictest = append(limits, e.Limit), append(strictest, strict[e.Action])
			}
		}
		if len(limits) == 0 {
			limits, strictest = []time.Duration{p.Limit}, []int{strict[p.Action]}
		}
		e := p.For(groups)
		if e.Limit != slices.Min(limits) || strict[e.Action] != slices.Max(strictest) || e.Warning != min(p.Warning, e.Limit/2) {
			t.Fatalf("For(%q) of %+v = %+v; roles alone give %v, %v", groups, p, e, limits, strictest)
		}
	}
}

func TestSettingsTellTheirSource(t *testing.T) {
	l, err := Parse([]Document{{Name: "/a.yaml", Text: []byte("limit: 10m\nlock: {proof: greeter}")}, {Name: "/b.yaml", Text: []byte("limit: 9m")}})
	if err != nil {
		t.Fatal(err)
	}
	got := l.Settings()
	if len(got) != len(Definitions) {
		t.Fatalf("%d settings, want %d", len(got), len(Definitions))
	}
	for i, s := range got {
		want := Setting{Definitions[i].Key, Definitions[i].Value(&l.Policy), BuiltIn}
		switch s.Key {
		case "limit":
			want.Value, want.Source = "9m", "/b.yaml"
		case "lock.proof":
			want.Value, want.Source = "greeter", "/a.yaml"
		}
		if !reflect.DeepEqual(s, want) {
			t.Errorf("setting %+v, want %+v", s, want)
		}
	}
	none := Loaded{Policy: Default()}
	for _, s := range none.Settings() {
		if b, err := json.Marshal(s); err != nil || s.Source != BuiltIn || strings.Contains(string(b), "null") {
			t.Errorf("%s: %s, %v", s.Key, b, err)
		}
	}
}

func TestHashNamesTheValues(t *testing.T) {
	want := mustParse(t, whole).Policy
	for name, text := range map[string]string{
		"other order and style": "version: \"12\"\nlimit: \"900s\"\nwarning: 300s\n" + whole[strings.Index(whole, "action:"):],
		"comments":              "# hello\n" + whole,
	} {
		if l := mustParse(t, text); l.Policy.Hash() != want.Hash() {
			t.Errorf("%s: another hash for the same values", name)
		}
	}
	halves, err := Parse([]Document{{Name: "x", Text: []byte(whole)}, {Name: "y", Text: []byte("limit: 15m")}})
	if err != nil || halves.Policy.Hash() != want.Hash() {
		t.Errorf("the hash depends on where values come from: %v", err)
	}
	a, b := "{name: a, groups: [g], limit: 1m}", "{name: b, groups: [h]}"
	one, other := mustParse(t, "roles: ["+a+", "+b+"]").Policy, mustParse(t, "roles: ["+b+", "+a+"]").Policy
	if one.Hash() != other.Hash() || one.Roles[0].Name != "a" || other.Roles[0].Name != "b" {
		t.Errorf("the order of roles, which means nothing, changes the hash, or the hash the order")
	}
	empty := mustParse(t, "clients: []\nroles: []\nlock: {fallback: []}").Policy
	if d := Default(); d.Hash() != empty.Hash() || len(d.Hash()) != 64 {
		t.Errorf("empty lists and none differ, or %q is no hash", d.Hash())
	}
	r := random(3)
	for range 1000 {
		p, q := randomPolicy(r), randomPolicy(r)
		if (p.Hash() == q.Hash()) != reflect.DeepEqual(normal(p), normal(q)) {
			t.Fatalf("hash and values disagree:\n%+v\n%+v", p, q)
		}
	}
}

func TestAdvice(t *testing.T) {
	for text, want := range map[string][]string{
		"":            {},
		"limit: 30s":  {"limit: the warning would be 15s"},
		"warning: 0s": {"limit: the warning would be 0s"},
		"limit: 16m":  {"limit: 16m is longer than the 15m"},
		"roles: [{name: a, groups: [g], limit: 20m}]":              {"role a: 20m is longer"},
		"roles: [{name: a, groups: [g], limit: 10s}]":              {"role a: the warning would be 5s", "role a: 10s is too short for terminals"},
		"roles: [{name: a, groups: [g], action: disconnect}]":      {"action: disconnect shows the greeter"},
		"approval: {required: true, allowed_signers: /k}":          {"approval.group: not set"},
		"classes: [{name: a, limit: 1h}]":                          {"class a: 1h is longer"},
		"classes: [{name: a, action: close-clients}]":              {"clients: empty"},
		"clients: [{name: a, paths: [/a], publisher: b}]":          {"client a: publisher"},
		"action: close-clients":                                    {"clients: empty"},
		"stages: {close_clients_after: 1m}":                        {"clients: empty"},
		"action: disconnect":                                       {"action: disconnect"},
		"action: close-clients\nclients: [{name: a, paths: [/a]}]": {},
	} {
		p := mustParse(t, text).Policy
		got := p.Advice()
		if len(got) != len(want) {
			t.Errorf("%q: advice %q, want %q", text, got, want)
			continue
		}
		for i := range got {
			if !strings.HasPrefix(got[i], want[i]) {
				t.Errorf("%q: advice %q, want %q", text, got[i], want[i])
			}
		}
	}
}
