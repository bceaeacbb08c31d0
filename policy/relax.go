package policy

import (
	"fmt"
	"reflect"
	"slices"
	"time"
)

// Relaxation is one component that became weaker.
type Relaxation struct {
	Key string `json:"key"`
	Old string `json:"old"`
	New string `json:"new"`
}

// Relaxes names every component of next that is weaker than in p, by the table's word for weaker. It is empty if and only
// if no setting for all, no client and no user of any workstation is worse protected.
func Relaxes(p, next *Policy) []Relaxation {
	var out []Relaxation
	for _, d := range Definitions {
		switch {
		case d.Weaker == Inside:
			out = append(out, d.weakerEntries(p, next)...)
		case d.Weaker == Outcome && d.Key == "class":
			out = append(out, otherClass(p, next)...)
		case d.Weaker == Outcome && d.Key == "classes":
			out = append(out, weakerClasses(p, next)...)
		case d.Weaker == Outcome && d.Key == "roles":
			out = append(out, weakerRoles(p, next)...)
		case d.weaker(p, next):
			out = append(out, Relaxation{d.Key, brief(d.Value(p)), brief(d.Value(next))})
		}
	}
	return out
}

// weaker compares one value of two owners.
func (d Definition) weaker(was, is any) bool {
	old, now := d.valueIn(was), d.valueIn(is)
	switch d.Weaker {
	case Longer:
		a, b := *d.read(was).(*time.Duration), *d.read(is).(*time.Duration)
		if d.OrZero && d.Min > 0 { // 0 is never
			a, b = orForever(a), orForever(b)
		}
		return b > a
	case Earlier:
		return slices.Index(d.Words, fmt.Sprint(now)) < slices.Index(d.Words, fmt.Sprint(old))
	case Fewer:
		return slices.ContainsFunc(old.([]string), func(s string) bool { return !slices.Contains(now.([]string), s) })
	case Replaced:
		return compact(old) != compact(now) && !reflect.ValueOf(d.read(was)).Elem().IsZero()
	case Change:
		return compact(old) != compact(now)
	default:
		return false
	}
}

// weakerEntries compares lists entry by entry, known by their names.
func (d Definition) weakerEntries(p, next *Policy) []Relaxation {
	var out []Relaxation
	now := d.byName(next)
	for _, e := range d.list(p) {
		name := d.Fields[0].valueIn(e).(string)
		switch is := now[name]; {
		case d.moot(e):
		case is == nil:
			out = append(out, Relaxation{d.Key, name, "gone"})
		default:
			for _, f := range d.Fields {
				if f.weaker(e, is) {
					out = append(out, Relaxation{d.Key + "." + f.Key, name + " " + brief(f.valueIn(e)), name + " " + brief(f.valueIn(is))})
				}
			}
		}
	}
	return out
}

// list points at every entry.
func (d Definition) list(p *Policy) []any {
	v := reflect.ValueOf(d.read(p)).Elem()
	var out []any
	for i := range v.Len() {
		out = append(out, v.Index(i).Addr().Interface())
	}
	return out
}

func (d Definition) byName(p *Policy) map[string]any {
	out := map[string]any{}
	for _, e := range d.list(p) {
		out[d.Fields[0].valueIn(e).(string)] = e
	}
	return out
}

// otherClass says whether this workstation's new class is weaker than its old one, as the new policy has them.
func otherClass(p, next *Policy) []Relaxation {
	if p.Class == next.Class {
		return nil
	}
	from, to := next.classNamed(p.Class), next.classNamed(next.Class)
	was, is := situation{next, from}, situation{next, to}
	ms := members(next, next)
	for _, a := range aspects {
		if a.base(next, to).value > a.base(next, from).value || len(weakerGroups(a, was, is, ms)) > 0 {
			return []Relaxation{{"class", orNone(p.Class), orNone(next.Class)}}
		}
	}
	return nil
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// situation is a policy on a workstation of one class, nil for none.
type situation struct {
	p *Policy
	c *Class
}

// weakerClasses compares what holds on workstations of each class for users without a role. What follows from the general
// setting is named there.
func weakerClasses(p, next *Policy) []Relaxation {
	var out []Relaxation
	for _, name := range classNames(p, next)[1:] {
		for _, a := range aspects {
			was, is := a.base(p, p.classNamed(name)), a.base(next, next.classNamed(name))
			if is.value > was.value && !(was.from == a.key && is.from == a.key) {
				out = append(out, Relaxation{"classes." + a.field, name + " " + a.word(was.value), name + " " + a.word(is.value)})
			}
		}
	}
	return out
}

// classNames lists the classes of both policies after "", which stands for none.
func classNames(p, next *Policy) []string {
	out := []string{""}
	for _, c := range slices.Concat(p.Classes, next.Classes) {
		if !slices.Contains(out, c.Name) {
			out = append(out, c.Name)
		}
	}
	return out
}

// weakerRoles compares what holds for users with a role, on workstations of every class: the worst of each aspect.
func weakerRoles(p, next *Policy) []Relaxation {
	var out []Relaxation
	ms := members(p, next)
	for _, a := range aspects {
		for _, name := range classNames(p, next) {
			was, is := situation{p, p.classNamed(name)}, situation{next, next.classNamed(name)}
			if weak := weakerGroups(a, was, is, ms); len(weak) > 0 {
				out = append(out, weak...)
				break
			}
		}
	}
	return out
}

// weakerGroups finds groups whose users are worse off in one aspect, other than by what their workstation's general terms
// lost. One Relaxation tells of the first.
//
// Users are in any set of groups. It is enough to look at single groups and at pairs of one that no longer has a role
// and one that has: a set is worse off only if a single group or such a pair of it is.
func weakerGroups(a aspect, was, is situation, ms []member) []Relaxation {
	baseWas, baseIs := a.base(was.p, was.c), a.base(is.p, is.c)
	inherited := func(old, now int64) bool { return old == baseWas.value && now == baseIs.value }
	say := func(who string, old, now int64) []Relaxation {
		return []Relaxation{{"roles." + a.field, who + " " + a.word(old), who + " " + a.word(now)}}
	}
	lost, gain := extreme{value: -1}, extreme{value: -1}
	for _, m := range ms {
		old, now := a.measure(was.p, was.c, m.before).value, a.measure(is.p, is.c, m.after).value
		if now > old && !inherited(old, now) {
			return say(m.group, old, now)
		}
		if len(m.after) == 0 && (lost.value < 0 || old < lost.value) {
			lost = extreme{m.group, old}
		}
		if len(m.after) > 0 && now > gain.value {
			gain = extreme{m.group, now}
		}
	}
	if lost.value >= 0 && gain.value > lost.value && !inherited(lost.value, gain.value) {
		return say(lost.group+"+"+gain.group, lost.value, gain.value)
	}
	return nil
}

// extreme is the group with the least or the greatest value.
type extreme struct {
	group string
	value int64
}

// member is a group with the roles that it gives by each of two policies.
type member struct {
	group         string
	before, after []Role
}

// members lists the groups of both policies, each once, in their order.
func members(p, next *Policy) []member {
	var out []member
	at := map[string]int{}
	add := func(rs []Role, give func(*member, Role)) {
		for _, r := range rs {
			for _, g := range r.Groups {
				i, known := at[g]
				if !known {
					i = len(out)
					at[g], out = i, append(out, member{group: g})
				}
				give(&out[i], r)
			}
		}
	}
	add(p.Roles, func(m *member, r Role) { m.before = append(m.before, r) })
	add(next.Roles, func(m *member, r Role) { m.after = append(m.after, r) })
	return out
}

// word writes a value of an aspect as a policy does.
func (a aspect) word(v int64) string {
	if a.key == "action" {
		return string(actionOf(v))
	}
	if d := orNever(v); d > 0 {
		return Duration(d)
	}
	return "never"
}

// brief is a value short enough for an event: lists by their length.
func brief(v any) string {
	switch v := v.(type) {
	case []string:
		return fmt.Sprintf("%d entries", len(v))
	case []Entry:
		return fmt.Sprintf("%d entries", len(v))
	default:
		return fmt.Sprint(v)
	}
}
