package policy

import (
	"fmt"
	"slices"
	"time"
)

// MinWarning is how long a person needs at least to extend a time limit by a simple action (WCAG 2.2,
// success criterion 2.2.1).
const MinWarning = 20 * time.Second

// terminalStep is the least limit that a terminal's step of eight seconds leaves room for.
const terminalStep = 20 * time.Second

// longest limit that the usual standards accept for a screen lock.
const longest = 15 * time.Minute

// Advice is what policy check says of a policy that is valid but has a drawback.
func (p *Policy) Advice() []string {
	out := p.limitAdvice("limit", p.Limit)
	for _, c := range p.Classes {
		out = append(out, p.limitAdvice("class "+c.Name, c.Limit)...)
	}
	for _, r := range p.Roles {
		out = append(out, p.limitAdvice("role "+r.Name, r.Limit)...)
	}
	return append(out, p.actionAdvice()...)
}

// limitAdvice weighs one limit; 0 is none.
func (p *Policy) limitAdvice(what string, limit time.Duration) []string {
	if limit == 0 {
		return nil
	}
	var out []string
	if w := min(p.Warning, limit/2); w < MinWarning {
		out = append(out, fmt.Sprintf("%s: the warning would be %s; WCAG 2.2 SC 2.2.1 asks for at least 20s to extend", what, Duration(w)))
	}
	if limit < terminalStep {
		out = append(out, fmt.Sprintf("%s: %s is too short for terminals, which tell of input in steps of 8s: who types may be signed out", what, Duration(limit)))
	}
	if limit > longest {
		out = append(out, fmt.Sprintf("%s: %s is longer than the 15m of DISA STIG, PCI DSS 8.2.8 and FedRAMP AC-11", what, Duration(limit)))
	}
	return out
}

func (p *Policy) actionAdvice() []string {
	var out []string
	as := []Action{p.Action}
	closes := p.Stages.CloseClientsAfter > 0
	for _, t := range p.allTerms() {
		as = append(as, t.Action)
		closes = closes || t.CloseClientsAfter > 0
	}
	closes = closes || slices.Contains(as, CloseClients) || slices.Contains(as, CloseClientsAndLock)
	if closes && len(p.Clients) == 0 {
		out = append(out, "clients: empty, although an action or a stage closes clients")
	}
	if slices.Contains(as, Disconnect) {
		out = append(out, "action: disconnect shows the greeter on Linux; a desktop that has none is locked")
	}
	if p.Approval.Required && p.Approval.Group == "" {
		out = append(out, "approval.group: not set; an approval is then good for every computer that has no group")
	}
	for _, c := range p.Clients {
		if c.Publisher != "" {
			out = append(out, fmt.Sprintf("client %s: publisher is looked at on Windows only", c.Name))
		}
	}
	return out
}

func (p *Policy) allTerms() []Terms {
	var out []Terms
	for _, c := range p.Classes {
		out = append(out, c.Terms)
	}
	for _, r := range p.Roles {
		out = append(out, r.Terms)
	}
	return out
}
