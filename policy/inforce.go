package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"
)

// Effective is what the policy comes to for one user.
type Effective struct {
	Limit   time.Duration
	Warning time.Duration // already scaled: at most half of the limit
	Action  Action
	Stages  Stages
	Role    string // the role that gave the limit, "" where none did
	From    From
}

// From says for each part of an Effective what gave it: "limit", "role clinical", "class ward".
type From struct{ Limit, Action, CloseClients, SignOut string }

// For answers what holds for a user of these groups on this workstation. The terms of the workstation's class stand in
// place of the general ones. Of several roles the strictest value counts, one by one; a user in no role has the general
// terms. What the class sets, no role exceeds. Groups that come with their SIDs are those of Windows, to which it makes no
// difference how a name is capitalized.
func (p *Policy) For(groups []string) Effective {
	same := func(a, b string) bool { return a == b }
	if slices.ContainsFunc(groups, func(g string) bool { return strings.HasPrefix(g, "S-1-") }) {
		same = strings.EqualFold
	}
	in := func(r Role) bool {
		return slices.ContainsFunc(r.Groups, func(g string) bool {
			return slices.ContainsFunc(groups, func(has string) bool { return same(g, has) })
		})
	}
	var rs []Role
	for _, r := range p.Roles {
		if in(r) {
			rs = append(rs, r)
		}
	}
	return p.effective(p.class(), rs)
}

// class is the class of this workstation, nil if it has none.
func (p *Policy) class() *Class { return p.classNamed(p.Class) }

func (p *Policy) classNamed(name string) *Class {
	for i := range p.Classes {
		if name != "" && p.Classes[i].Name == name {
			return &p.Classes[i]
		}
	}
	return nil
}

func (p *Policy) effective(c *Class, rs []Role) Effective {
	var e Effective
	var at [len(aspects)]measure
	for i, a := range aspects {
		at[i] = a.measure(p, c, rs)
	}
	e.Limit, e.From.Limit = time.Duration(at[0].value), at[0].from
	e.Action, e.From.Action = actionOf(at[1].value), at[1].from
	e.Stages.CloseClientsAfter, e.From.CloseClients = orNever(at[2].value), at[2].from
	e.Stages.SignOutAfter, e.From.SignOut = orNever(at[3].value), at[3].from
	e.Role = at[0].role
	e.Warning = min(p.Warning, e.Limit/2)
	return e
}

// aspect is one part of what a policy comes to for a user, measured so that more is weaker and 0 is not set.
type aspect struct {
	key, field string // of the general setting, and of a role's or a class's
	general    func(*Policy) int64
	own        func(Terms) int64
}

var aspects = [...]aspect{
	{"limit", "limit", func(p *Policy) int64 { return int64(p.Limit) }, func(t Terms) int64 { return int64(t.Limit) }},
	{"action", "action", func(p *Policy) int64 { return laxity(p.Action) }, func(t Terms) int64 { return laxity(t.Action) }},
	{"stages.close_clients_after", "close_clients_after",
		func(p *Policy) int64 { return int64(orForever(p.Stages.CloseClientsAfter)) }, func(t Terms) int64 { return int64(t.CloseClientsAfter) }},
	{"stages.sign_out_after", "sign_out_after",
		func(p *Policy) int64 { return int64(orForever(p.Stages.SignOutAfter)) }, func(t Terms) int64 { return int64(t.SignOutAfter) }},
}

// measure is a value of an aspect and what gave it.
type measure struct {
	value      int64
	from, role string
}

// base is what holds on a workstation of class c for a user without a role.
func (a aspect) base(p *Policy, c *Class) measure {
	if c != nil && a.own(c.Terms) != 0 {
		return measure{value: a.own(c.Terms), from: "class " + c.Name}
	}
	return measure{value: a.general(p), from: a.key}
}

func (a aspect) measure(p *Policy, c *Class, rs []Role) measure {
	base := a.base(p, c)
	best := measure{value: math.MaxInt64}
	for _, r := range rs {
		m := base
		if v := a.own(r.Terms); v != 0 {
			m = measure{v, "role " + r.Name, r.Name}
		}
		if best.from == "" || m.value < best.value {
			best = m
		}
	}
	if len(rs) == 0 || c != nil && a.own(c.Terms) != 0 && base.value < best.value {
		return base
	}
	return best
}

// laxity counts the actions from the strictest, 1, to the weakest; 0 is not set.
func laxity(a Action) int64 {
	if a == "" {
		return 0
	}
	return int64(len(actions) - slices.Index(actions, string(a)))
}

func actionOf(laxity int64) Action { return Action(actions[len(actions)-int(laxity)]) }

func orForever(d time.Duration) time.Duration {
	if d == 0 {
		return math.MaxInt64
	}
	return d
}

func orNever(v int64) time.Duration {
	if v == math.MaxInt64 {
		return 0
	}
	return time.Duration(v)
}

// Setting is one value in force and where it came from, as policy show prints it.
type Setting struct {
	Key    string `json:"key"`
	Value  any    `json:"value"`
	Source string `json:"source"`
}

// BuiltIn is the source of a value that no file sets.
const BuiltIn = "built-in default"

// Settings lists every value in force, in the order of the table.
func (l *Loaded) Settings() []Setting {
	out := make([]Setting, 0, len(Definitions))
	for _, d := range Definitions {
		src := l.Source[d.Key]
		if src == "" {
			src = BuiltIn
		}
		out = append(out, Setting{d.Key, d.Value(&l.Policy), src})
	}
	return out
}

// Hash names a policy by its values, wherever they came from and in whatever order its entries stand: SHA-256 in hex over
// those that differ from the default, so that a release with more settings gives the same policy the same name.
func (p *Policy) Hash() string {
	vs := Entry{}
	standard := Default()
	for _, d := range Definitions {
		v := d.Value(p)
		if es, isList := v.([]Entry); isList {
			slices.SortFunc(es, func(a, b Entry) int { return strings.Compare(compact(a[0].Value), compact(b[0].Value)) })
		}
		if compact(v) != compact(d.Value(&standard)) {
			vs = append(vs, Field{d.Key, v})
		}
	}
	sum := sha256.Sum256([]byte(compact(vs)))
	return hex.EncodeToString(sum[:])
}

func compact(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("policy: " + err.Error()) // every value is made of strings, numbers, switches and lists of them
	}
	return string(b)
}
