package policy

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 7)) }

// randomPolicy draws from few values, so that parts of two policies are often the same.
func randomPolicy(r *rand.Rand) Policy {
	some := func(ds ...time.Duration) time.Duration { return ds[r.IntN(len(ds))] }
	word := func(ws ...string) string { return ws[r.IntN(len(ws))] }
	p := Policy{
		Limit: some(5*time.Second, time.Minute, 15*time.Minute, time.Hour, 24*time.Hour), Warning: some(0, time.Minute, 5*time.Minute),
		Action:   Action(word("lock", "disconnect", "sign-out", "close-clients", "close-clients-and-lock")),
		Stages:   Stages{some(0, time.Minute, time.Hour), some(0, time.Minute, time.Hour)},
		Lock:     LockPolicy{Proof: Proof(word("claim", "locker", "greeter")), Terminate: r.IntN(2) == 0},
		Approval: Approval{r.IntN(2) == 0, word("", "/keys")}, Collector: Collector{word("", "https://h"), word("", "/ca")},
	}
	for range r.IntN(3) {
		p.Lock.Fallback = append(p.Lock.Fallback, word("/usr/bin/i3lock", "-n"))
	}
	for i := range r.IntN(3) {
		p.Clients = append(p.Clients, Client{fmt.Sprint("c", i), []string{word("/a", "/b")}, Close, some(0, time.Minute)})
	}
	for i := range r.IntN(4) {
		p.Roles = append(p.Roles, Role{fmt.Sprint("r", i), []string{word("g", "h"), word("i", "j")}, some(0, time.Minute, time.Hour),
			Action(word("", "lock", "sign-out", "close-clients"))})
	}
	return p
}

// weakened says by hand, not by the table, what of q is weaker than in p.
func weakened(p, q *Policy) []string {
	stage := func(was, is time.Duration) bool { return was != is && was != 0 && (is == 0 || is > was) }
	actions := map[Action]int{CloseClients: 0, Lock: 1, CloseClientsAndLock: 2, Disconnect: 3, SignOut: 4}
	proofs := map[Proof]int{ProofClaim: 0, ProofLocker: 1, ProofGreeter: 2}
	var keys []string
	for _, c := range []struct {
		key    string
		weaker bool
	}{
		{"limit", q.Limit > p.Limit},
		{"warning", false},
		{"action", actions[q.Action] < actions[p.Action]},
		{"stages.close_clients_after", stage(p.Stages.CloseClientsAfter, q.Stages.CloseClientsAfter)},
		{"stages.sign_out_after", stage(p.Stages.SignOutAfter, q.Stages.SignOutAfter)},
		{"lock.proof", proofs[q.Lock.Proof] < proofs[p.Lock.Proof]},
		{"lock.fallback", !slices.Equal(p.Lock.Fallback, q.Lock.Fallback)},
		{"lock.terminate", p.Lock.Terminate && !q.Lock.Terminate},
		{"clients", !slices.EqualFunc(p.Clients, q.Clients, func(a, b Client) bool { return reflect.DeepEqual(a, b) })},
		{"roles", !slices.EqualFunc(p.Roles, q.Roles, func(a, b Role) bool { return reflect.DeepEqual(a, b) })},
		{"collector.url", p.Collector.URL != q.Collector.URL},
		{"collector.ca", p.Collector.CA != q.Collector.CA},
		{"approval.required", p.Approval.Required && !q.Approval.Required},
		{"approval.allowed_signers", p.Approval.AllowedSigners != q.Approval.AllowedSigners},
	} {
		if c.weaker {
			keys = append(keys, c.key)
		}
	}
	return keys
}

func relaxedKeys(p, q *Policy) []string {
	var keys []string
	for _, r := range Relaxes(p, q) {
		keys = append(keys, r.Key)
	}
	return keys
}

func TestRelaxesNamesWhatIsWeaker(t *testing.T) {
	r, found := random(4), map[string]int{}
	for range 4000 {
		p, q := randomPolicy(r), randomPolicy(r)
		got, want := relaxedKeys(&p, &q), weakened(&p, &q)
		if !slices.Equal(got, want) {
			t.Fatalf("Relaxes = %q, want %q\nfrom %+v\n  to %+v", got, want, p, q)
		}
		for _, k := range got {
			found[k]++
		}
		if again := relaxedKeys(&p, &p); again != nil {
			t.Fatalf("a policy relaxes itself: %q", again)
		}
	}
	for _, d := range Definitions {
		if (found[d.Key] == 0) != (d.Weaker == Neither) {
			t.Errorf("%s was weaker %d times", d.Key, found[d.Key])
		}
	}
}

// TestRelaxesOneKey changes one value at a time, in both directions.
func TestRelaxesOneKey(t *testing.T) {
	for _, c := range []struct {
		strict, weak string
		both         bool // any change counts
	}{
		{strict: "limit: 15m", weak: "limit: 15m1s"},
		{strict: "action: lock", weak: "action: close-clients"},
		{strict: "action: close-clients-and-lock", weak: "action: lock"},
		{strict: "action: disconnect", weak: "action: close-clients-and-lock"},
		{strict: "action: sign-out", weak: "action: disconnect"},
		{strict: "stages: {close_clients_after: 1h}", weak: "stages: {close_clients_after: 0s}"},
		{strict: "stages: {close_clients_after: 1h}", weak: "stages: {close_clients_after: 2h}"},
		{strict: "stages: {sign_out_after: 168h}", weak: ""},
		{strict: "lock: {proof: locker}", weak: "lock: {proof: claim}"},
		{strict: "lock: {proof: greeter}", weak: "lock: {proof: locker}"},
		{strict: "lock: {terminate: true}", weak: "lock: {terminate: false}"},
		{strict: "approval: {required: true}", weak: ""},
		{strict: "lock: {fallback: [/a]}", weak: "lock: {fallback: [/a, -n]}", both: true},
		{strict: "clients: [{name: a, paths: [/a]}]", weak: "clients: [{name: a, paths: [/a], grace: 31s}]", both: true},
		{strict: "roles: [{name: a, groups: [g]}]", weak: "roles: [{name: a, groups: [h]}]", both: true},
		{strict: "collector: {url: https://h}", weak: "collector: {url: https://i}", both: true},
		{strict: "collector: {ca: /a}", weak: "collector: {ca: /b}", both: true},
		{strict: "approval: {allowed_signers: /a}", weak: "approval: {allowed_signers: /b}", both: true},
	} {
		s, w := mustParse(t, c.strict).Policy, mustParse(t, c.weak).Policy
		if got := Relaxes(&s, &w); len(got) != 1 || got[0].Old == "" && got[0].New == "" {
			t.Errorf("from %q to %q: %+v, want one", c.strict, c.weak, got)
		}
		if got := Relaxes(&w, &s); (len(got) == 1) != c.both {
			t.Errorf("from %q to %q: %+v", c.weak, c.strict, got)
		}
	}
	a, b := mustParse(t, "limit: 5m").Policy, mustParse(t, "limit: 1h").Policy
	if got := Relaxes(&a, &b); !reflect.DeepEqual(got, []Relaxation{{"limit", "5m", "1h"}}) {
		t.Errorf("Relaxes = %+v", got)
	}
}
