package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"stepaway/policy"
)

// part is one value that holds for a user, and what gave it.
type part struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	From  string `json:"from"`
}

// printUser says what holds for a user of this system, and why.
func printUser(ctx context.Context, p *policy.Policy, name string, asJSON bool) error {
	groups, source, err := groupsOf(ctx, name)
	if err != nil {
		return err
	}
	parts := partsFor(p, groups)
	if asJSON {
		return printJSON(map[string]any{"user": name, "groups": append([]string{}, groups...), "groups_from": source,
			"class": p.Class, "in_force": parts})
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "user\t%s\tgroups %s (%s)\n", name, strings.Join(groups, ", "), source)
	for _, pt := range parts {
		fmt.Fprintf(w, "%s\t%s\tby %s\n", pt.Key, pt.Value, pt.From)
	}
	return w.Flush()
}

func partsFor(p *policy.Policy, groups []string) []part {
	e := p.For(groups)
	warning := part{"warning", policy.Duration(e.Warning), "warning"}
	if e.Warning < p.Warning {
		warning.From = "half of the limit"
	}
	return []part{
		{"limit", policy.Duration(e.Limit), e.From.Limit}, warning, {"action", string(e.Action), e.From.Action},
		{"stages.close_clients_after", orNever(e.Stages.CloseClientsAfter), e.From.CloseClients},
		{"stages.sign_out_after", orNever(e.Stages.SignOutAfter), e.From.SignOut},
	}
}

func orNever(d time.Duration) string {
	if d == 0 {
		return "never"
	}
	return policy.Duration(d)
}
