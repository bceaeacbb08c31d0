package policy

import (
	"time"

	"go.yaml.in/yaml/v3"

	"stepaway/audit"
)

// Bounds of a client's grace.
const (
	defaultGrace = 30 * time.Second
	maxGrace     = 10 * time.Minute
)

func takeClients(p *Policy, n *yaml.Node) error {
	cs, err := each(n, clientOf)
	if err == nil {
		p.Clients = cs
	}
	return err
}

func takeRoles(p *Policy, n *yaml.Node) error {
	rs, err := each(n, roleOf)
	if err == nil {
		p.Roles = rs
	}
	return err
}

// each reads a list of sections that have a name of their own.
func each[T interface{ label() string }](n *yaml.Node, read func(*yaml.Node) (T, error)) ([]T, error) {
	items, err := itemsOf(n)
	if err != nil {
		return nil, err
	}
	var out []T
	var wrong several
	names := map[string]bool{}
	for _, it := range items {
		v, err := read(it)
		if err == nil {
			err = nameError(v.label(), names)
		}
		if err != nil {
			wrong = append(wrong, at(err, it))
			continue
		}
		names[v.label()] = true
		out = append(out, v)
	}
	return out, wrong.orNil()
}

func (c Client) label() string { return c.Name }
func (r Role) label() string   { return r.Name }

func nameError(name string, taken map[string]bool) error {
	switch {
	case name == "":
		return errorf("name is missing")
	case string(audit.MakeLabel(name)) != name:
		return errorf("name %q: use at most 64 letters, digits, spaces and ._-@/:+", printable(name))
	case taken[name]:
		return errorf("name %q stands twice", name)
	}
	return nil
}

func nodeOf(err error, otherwise *yaml.Node) *yaml.Node {
	if l, ok := err.(*located); ok {
		return l.node
	}
	return otherwise
}

func clientOf(n *yaml.Node) (Client, error) {
	c := Client{AtDeadline: Close, Grace: defaultGrace}
	err := takeFields(n, map[string]func(*yaml.Node) error{
		"name":        into(&c.Name, textOf),
		"paths":       into(&c.Paths, pathsOf),
		"at_deadline": into(&c.AtDeadline, atDeadlineOf),
		"grace": into(&c.Grace, func(n *yaml.Node) (time.Duration, error) {
			return durationOf(n, 0, maxGrace, true)
		}),
	})
	if err == nil && len(c.Paths) == 0 {
		err = errorf("client %q has no paths", printable(c.Name))
	}
	return c, err
}

func roleOf(n *yaml.Node) (Role, error) {
	var r Role
	err := takeFields(n, map[string]func(*yaml.Node) error{
		"name":   into(&r.Name, textOf),
		"groups": into(&r.Groups, textsOf),
		"limit": into(&r.Limit, func(n *yaml.Node) (time.Duration, error) {
			return durationOf(n, MinLimit, MaxLimit, false)
		}),
		"action": into(&r.Action, func(n *yaml.Node) (Action, error) {
			w, err := wordOf(n, actions)
			return Action(w), err
		}),
	})
	if err == nil && len(r.Groups) == 0 {
		err = errorf("role %q has no groups", printable(r.Name))
	}
	return r, err
}

func pathsOf(n *yaml.Node) ([]string, error) {
	ps, err := textsOf(n)
	for i, p := range ps {
		if err := absolutePath(p); err != nil {
			return nil, &located{err, n.Content[i]}
		}
	}
	return ps, err
}

func atDeadlineOf(n *yaml.Node) (AtDeadline, error) {
	w, err := wordOf(n, []string{string(Leave), string(Close), string(End)})
	return AtDeadline(w), err
}

// into makes a reader store what it reads.
func into[T any](dst *T, read func(*yaml.Node) (T, error)) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		v, err := read(n)
		if err == nil {
			*dst = v
		}
		return err
	}
}

// takeFields hands each field of a section to its reader.
func takeFields(n *yaml.Node, readers map[string]func(*yaml.Node) error) error {
	fs, err := fieldsOf(n)
	var wrong several
	if err != nil {
		wrong = append(wrong, at(err, n))
	}
	for _, f := range fs {
		read, known := readers[f.name]
		if !known {
			wrong = append(wrong, &located{errorf("unknown key %q", printable(f.name)), f.key})
			continue
		}
		if err := read(f.value); err != nil {
			wrong = append(wrong, &located{errorf("%s: %w", f.name, err), nodeOf(err, f.value)})
		}
	}
	return wrong.orNil()
}

type clientValue struct {
	Name       string   `json:"name"`
	Paths      []string `json:"paths"`
	AtDeadline string   `json:"at_deadline"`
	Grace      string   `json:"grace"`
}

type roleValue struct {
	Name   string   `json:"name"`
	Groups []string `json:"groups"`
	Limit  string   `json:"limit,omitempty"`
	Action string   `json:"action,omitempty"`
}

func clientValues(cs []Client) []clientValue {
	out := make([]clientValue, 0, len(cs))
	for _, c := range cs {
		out = append(out, clientValue{c.Name, c.Paths, string(c.AtDeadline), Duration(c.Grace)})
	}
	return out
}

func roleValues(rs []Role) []roleValue {
	out := make([]roleValue, 0, len(rs))
	for _, r := range rs {
		v := roleValue{Name: r.Name, Groups: r.Groups, Action: string(r.Action)}
		if r.Limit != 0 {
			v.Limit = Duration(r.Limit)
		}
		out = append(out, v)
	}
	return out
}

func nonNil(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
