package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Effective is what the policy comes to for one user.
type Effective struct {
	Limit   time.Duration
	Warning time.Duration // already scaled: at most half of the limit
	Action  Action
	Role    string // the role that gave the limit, "" for the default
}

// For answers what holds for a user of these groups. Of several roles the shortest limit and the strictest
// action count; a user in no role has the default.
func (p *Policy) For(groups []string) Effective {
	e := Effective{Limit: p.Limit, Action: p.Action}
	var limit time.Duration
	var action Action
	for _, r := range p.Roles {
		if !slices.ContainsFunc(r.Groups, func(g string) bool { return slices.Contains(groups, g) }) {
			continue
		}
		if l := orLimit(r.Limit, p.Limit); limit == 0 || l < limit {
			limit, e.Role = l, r.Name
			if r.Limit == 0 {
				e.Role = ""
			}
		}
		if a := orAction(r.Action, p.Action); action == "" || strictness(a) > strictness(action) {
			action = a
		}
	}
	e.Limit, e.Action = orLimit(limit, p.Limit), orAction(action, p.Action)
	e.Warning = min(p.Warning, e.Limit/2)
	return e
}

func orLimit(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

func orAction(a, otherwise Action) Action {
	if a == "" {
		return otherwise
	}
	return a
}

func strictness(a Action) int { return slices.Index(actions, string(a)) }

// MinWarning is how long a person needs at least to extend a time limit by a simple action (WCAG 2.2,
// success criterion 2.2.1).
const MinWarning = 20 * time.Second

// terminalStep is the least limit that a terminal's step of eight seconds leaves room for.
const terminalStep = 20 * time.Second

// Advice is what policy check says of a policy that is valid but has a drawback.
func (p *Policy) Advice() []string {
	var out []string
	note := func(what string, limit time.Duration) {
		if w := min(p.Warning, limit/2); w < MinWarning {
			out = append(out, fmt.Sprintf("%s: the warning would be %s; WCAG 2.2 SC 2.2.1 asks for at least 20s to extend", what, Duration(w)))
		}
		if limit < terminalStep {
			out = append(out, fmt.Sprintf("%s: %s is too short for terminals, which tell of input in steps of 8s: who types may be signed out", what, Duration(limit)))
		}
		if limit > 15*time.Minute {
			out = append(out, fmt.Sprintf("%s: %s is longer than the 15m of DISA STIG, PCI DSS 8.2.8 and FedRAMP AC-11", what, Duration(limit)))
		}
	}
	note("limit", p.Limit)
	for _, r := range p.Roles {
		note("role "+r.Name, orLimit(r.Limit, p.Limit))
	}
	if p.Approval.Required {
		out = append(out, "approval.required: not enforced in this release; a weaker policy is applied with an alert")
	}
	return append(out, p.actionAdvice()...)
}

func (p *Policy) actionAdvice() []string {
	var out []string
	as := []Action{p.Action}
	for _, r := range p.Roles {
		as = append(as, r.Action)
	}
	closes := slices.Contains(as, CloseClients) || slices.Contains(as, CloseClientsAndLock) || p.Stages.CloseClientsAfter > 0
	if closes && len(p.Clients) == 0 {
		out = append(out, "clients: empty, although an action or a stage closes clients")
	}
	if slices.Contains(as, Disconnect) {
		out = append(out, "action: disconnect shows the greeter on Linux; a desktop that has none is locked")
	}
	return out
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

// Hash names a policy by its values, wherever they came from: SHA-256 in hex.
func (p *Policy) Hash() string {
	type value struct {
		Key   string
		Value any
	}
	vs := make([]value, 0, len(Definitions))
	for _, d := range Definitions {
		vs = append(vs, value{d.Key, d.Value(p)})
	}
	b, err := json.Marshal(vs)
	if err != nil {
		panic("policy: " + err.Error()) // every value is made of strings, switches and lists of them
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
