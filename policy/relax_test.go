package policy

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 7)) }

// randomPolicy draws from few values, so that parts of two policies are often the same.
func randomPolicy(r *rand.Rand) Policy {
	some := func(ds ...time.Duration) time.Duration { return ds[r.IntN(len(ds))] }
	word := func(ws ...string) string { return ws[r.IntN(len(ws))] }
	terms := func() Terms {
		return Terms{some(0, 0, time.Minute, time.Hour), Action(word("", "", "lock", "sign-out", "close-clients")),
			some(0, 0, time.Minute), some(0, 0, time.Minute, time.Hour)}
	}
	p := Policy{
		Version: r.IntN(3),
		Limit:   some(5*time.Second, 15*time.Minute, time.Hour), Warning: some(0, time.Minute, 5*time.Minute),
		Action:   Action(word("lock", "disconnect", "sign-out", "close-clients", "close-clients-and-lock")),
		Stages:   Stages{some(0, time.Minute, time.Hour), some(0, time.Minute, time.Hour)},
		Lock:     LockPolicy{Proof: Proof(word("claim", "locker", "greeter")), Terminate: r.IntN(2) == 0},
		Approval: Approval{r.IntN(2) == 0, word("", "/keys", "/more"), word("", "a", "b")}, Collector: Collector{word("", "https://h", "https://i"), word("", "/ca"), word("", "http://p:1", "http://q:1")},
	}
	for range r.IntN(3) {
		p.Lock.Fallback = append(p.Lock.Fallback, word("/usr/bin/i3lock", "-n"))
	}
	for i := range r.IntN(3) {
		p.Clients = append(p.Clients, Client{Name: fmt.Sprint("c", i), Paths: []string{"/a", "/b"}[r.IntN(2):], Publisher: word("", "", "x"),
			AtDeadline: AtDeadline(word("leave", "close", "close", "end")), Grace: some(0, 0, time.Minute), BusyFile: word("", "", "/busy"),
			BusyMost: some(0, 0, time.Minute), Caches: []string{"x", "y"}[r.IntN(3):], ClearClipboard: r.IntN(4) == 0})
	}
	for i := range 3 {
		if r.IntN(2) == 0 {
			p.Classes = append(p.Classes, Class{fmt.Sprint("k", i), terms()})
		}
	}
	if len(p.Classes) > 0 {
		p.Class = word("", p.Classes[0].Name)
	}
	for i := range r.IntN(4) {
		p.Roles = append(p.Roles, Role{fmt.Sprint("r", i), []string{word("g", "h"), word("i", "h")}, terms()})
	}
	return p
}

// similar changes a few parts of p, so that most of it stays.
func similar(r *rand.Rand, p Policy) Policy {
	q := randomPolicy(r)
	for _, keep := range []func(){
		func() { q.Limit, q.Warning, q.Action, q.Stages = p.Limit, p.Warning, p.Action, p.Stages },
		func() { q.Lock, q.Collector, q.Approval = p.Lock, p.Collector, p.Approval },
		func() { q.Clients = p.Clients }, func() { q.Classes, q.Class = p.Classes, p.Class }, func() { q.Roles = p.Roles },
	} {
		if r.IntN(5) > 0 {
			keep()
		}
	}
	if q.classNamed(q.Class) == nil {
		q.Class = ""
	}
	return q
}

// strict is what holds for one user, larger numbers being weaker, found without For.
func strict(p *Policy, class string, groups []string) [4]int64 {
	const never = int64(100 * time.Hour)
	lax := map[Action]int64{CloseClients: 5, Lock: 4, CloseClientsAndLock: 3, Disconnect: 2, SignOut: 1}
	orNever := func(d time.Duration) int64 {
		if d == 0 {
			return never
		}
		return int64(d)
	}
	own := func(t Terms) [4]int64 {
		return [4]int64{int64(t.Limit), lax[t.Action], int64(t.CloseClientsAfter), int64(t.SignOutAfter)}
	}
	base := [4]int64{int64(p.Limit), lax[p.Action], orNever(p.Stages.CloseClientsAfter), orNever(p.Stages.SignOutAfter)}
	limit := [4]int64{}
	for _, c := range p.Classes {
		for i, v := range own(c.Terms) {
			if c.Name == class && v != 0 {
				base[i], limit[i] = v, v
			}
		}
	}
	var out [4]int64
	for i := range out {
		var vs []int64
		for _, r := range p.Roles {
			if slices.ContainsFunc(r.Groups, func(g string) bool { return slices.Contains(groups, g) }) {
				v := own(r.Terms)[i]
				if v == 0 {
					v = base[i]
				}
				vs = append(vs, v)
			}
		}
		if limit[i] != 0 || len(vs) == 0 {
			vs = append(vs, base[i])
		}
		out[i] = slices.Min(vs)
	}
	return out
}

func anyAbove(now, old [4]int64) bool {
	for i := range now {
		if now[i] > old[i] {
			return true
		}
	}
	return false
}

var groupSets = [][]string{nil, {"g"}, {"h"}, {"i"}, {"g", "h"}, {"g", "i"}, {"h", "i"}, {"g", "h", "i"}}

// worseForSomebody tries every user on every workstation.
func worseForSomebody(p, q *Policy) bool {
	for _, gs := range groupSets {
		for _, class := range []string{"", "k0", "k1", "k2"} {
			if anyAbove(strict(q, class, gs), strict(p, class, gs)) {
				return true
			}
		}
		if p.Class != q.Class && anyAbove(strict(q, q.Class, gs), strict(q, p.Class, gs)) {
			return true
		}
	}
	return false
}

// weakened says by hand, not by the table, which settings that are compared one by one are weaker in q than in p.
func weakened(p, q *Policy) []string {
	stage := func(was, is time.Duration) bool { return was != is && was != 0 && (is == 0 || is > was) }
	actions := map[Action]int{CloseClients: 0, Lock: 1, CloseClientsAndLock: 2, Disconnect: 3, SignOut: 4}
	proofs := map[Proof]int{ProofClaim: 0, ProofLocker: 1, ProofGreeter: 2}
	other := func(was, is string) bool { return was != "" && was != is }
	var keys []string
	add := func(key string, weaker bool) {
		if weaker {
			keys = append(keys, key)
		}
	}
	add("limit", q.Limit > p.Limit)
	add("action", actions[q.Action] < actions[p.Action])
	add("stages.close_clients_after", stage(p.Stages.CloseClientsAfter, q.Stages.CloseClientsAfter))
	add("stages.sign_out_after", stage(p.Stages.SignOutAfter, q.Stages.SignOutAfter))
	add("lock.proof", proofs[q.Lock.Proof] < proofs[p.Lock.Proof])
	add("lock.fallback", len(p.Lock.Fallback) > 0 && !slices.Equal(p.Lock.Fallback, q.Lock.Fallback))
	add("lock.terminate", p.Lock.Terminate && !q.Lock.Terminate)
	for _, c := range p.Clients {
		keys = append(keys, weakenedClient(c, q)...)
	}
	add("collector.url", other(p.Collector.URL, q.Collector.URL))
	add("collector.ca", p.Collector.CA != q.Collector.CA)
	add("collector.proxy", other(p.Collector.Proxy, q.Collector.Proxy))
	add("approval.required", p.Approval.Required && !q.Approval.Required)
	add("approval.allowed_signers", other(p.Approval.AllowedSigners, q.Approval.AllowedSigners))
	add("approval.group", other(p.Approval.Group, q.Approval.Group))
	return keys
}

func weakenedClient(c Client, q *Policy) []string {
	i := slices.IndexFunc(q.Clients, func(d Client) bool { return d.Name == c.Name })
	if c.AtDeadline == Leave {
		return nil
	}
	if i < 0 {
		return []string{"clients"}
	}
	d := q.Clients[i]
	lost := func(was, is []string) bool {
		return slices.ContainsFunc(was, func(s string) bool { return !slices.Contains(is, s) })
	}
	var keys []string
	for key, weaker := range map[string]bool{
		"paths": lost(c.Paths, d.Paths), "publisher": c.Publisher != d.Publisher,
		"at_deadline": d.AtDeadline == Leave || c.AtDeadline == End && d.AtDeadline == Close,
		"grace":       d.Grace > c.Grace, "busy_file": c.BusyFile != d.BusyFile, "busy_most": d.BusyMost > c.BusyMost,
		"caches": lost(c.Caches, d.Caches), "clear_clipboard": c.ClearClipboard && !d.ClearClipboard,
	} {
		if weaker {
			keys = append(keys, "clients."+key)
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

// outcome reports whether a key is one that is compared by what comes of it.
func outcome(key string) bool {
	return key == "class" || strings.HasPrefix(key, "classes.") || strings.HasPrefix(key, "roles.")
}

// TestRelaxesIffWeaker: something is named if and only if a setting is weaker by hand or somebody somewhere is worse off.
func TestRelaxesIffWeaker(t *testing.T) {
	r, found := random(4), map[string]int{}
	for range 20000 {
		p := randomPolicy(r)
		q := similar(r, p)
		got, want := relaxedKeys(&p, &q), weakened(&p, &q)
		single := slices.DeleteFunc(slices.Clone(got), outcome)
		slices.Sort(single)
		slices.Sort(want)
		if !slices.Equal(single, want) {
			t.Fatalf("Relaxes = %q, want %q\nfrom %+v\n  to %+v", single, want, p, q)
		}
		if worse := worseForSomebody(&p, &q); worse && len(got) == 0 || !worse && slices.ContainsFunc(got, outcome) {
			t.Fatalf("Relaxes = %q, and worse for somebody: %v\nfrom %+v\n  to %+v", got, worse, p, q)
		}
		for _, k := range got {
			found[k]++
		}
		if again := relaxedKeys(&p, &p); again != nil {
			t.Fatalf("a policy relaxes itself: %q", again)
		}
	}
	for _, d := range Definitions {
		names := []string{d.Key}
		if d.Weaker == Inside || d.Key == "classes" || d.Key == "roles" {
			names = nil
			for _, f := range d.Fields {
				if f.Weaker != Neither && f.Key != "groups" {
					names = append(names, d.Key+"."+f.Key)
				}
			}
		}
		for _, n := range names {
			if (found[n] == 0) != (d.Weaker == Neither) {
				t.Errorf("%s was weaker %d times", n, found[n])
			}
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
		{strict: "approval: {required: true, allowed_signers: /a}", weak: "approval: {allowed_signers: /a}"},
		{strict: "lock: {fallback: [/a]}", weak: "lock: {fallback: [/a, -n]}", both: true},
		{strict: "lock: {fallback: [/a]}", weak: ""},
		{strict: "clients: [{name: a, paths: [/a]}]", weak: "clients: [{name: a, paths: [/a], grace: 31s}]"},
		{strict: "clients: [{name: a, paths: [/a]}]", weak: ""},
		{strict: "clients: [{name: a, paths: [/a], at_deadline: close}]", weak: "clients: [{name: a, paths: [/a], at_deadline: leave}]"},
		{strict: "clients: [{name: a, paths: [/a, /b]}]", weak: "clients: [{name: a, paths: [/b]}]"},
		{strict: "roles: [{name: a, groups: [g], limit: 5m}]", weak: "roles: [{name: a, groups: [h], limit: 5m}]", both: true},
		{strict: "roles: [{name: a, groups: [g]}]", weak: "roles: [{name: a, groups: [g], limit: 16m}]"},
		{strict: "roles: [{name: a, groups: [g], limit: 5m}]", weak: ""},
		{strict: "classes: [{name: a, limit: 5m}]", weak: "classes: [{name: a, limit: 6m}]"},
		{strict: "classes: [{name: a, limit: 5m}]", weak: "classes: [{name: a}]"},
		{strict: "classes: [{name: a, limit: 5m}]\nclass: a", weak: "classes: [{name: a, limit: 5m}]"},
		{strict: "collector: {url: https://h}", weak: "collector: {url: https://i}", both: true},
		{strict: "collector: {url: https://h}", weak: ""},
		{strict: "collector: {ca: /a}", weak: "collector: {ca: /b}", both: true},
		{strict: "collector: {proxy: 'http://p:1'}", weak: "collector: {proxy: 'http://q:1'}", both: true},
		{strict: "collector: {proxy: 'http://p:1'}", weak: ""},
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

// TestRelaxesSeesPairs: a user of two groups may be worse off where users of either group alone are not.
func TestRelaxesSeesPairs(t *testing.T) {
	p := mustParse(t, "roles: [{name: a, groups: [g], limit: 30m}, {name: b, groups: [h], limit: 1h}]").Policy
	q := mustParse(t, "roles: [{name: b, groups: [h], limit: 1h}]").Policy
	if got := Relaxes(&p, &q); !reflect.DeepEqual(got, []Relaxation{{"roles.limit", "g+h 30m", "g+h 1h"}}) {
		t.Errorf("%+v", got)
	}
}
