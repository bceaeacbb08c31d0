package doctor

import (
	"fmt"
	"slices"
	"strings"
)

// answer is what a module may return to somebody who knows no password.
type answer struct {
	value string
	sure  bool // it does return this for an ordinary local user; otherwise it may
}

// What modules return, by name without ".so". A module that is in no list may return anything.
var (
	asks = words("pam_unix pam_sss pam_sss_gss pam_ldap pam_ldapd pam_krb5 pam_winbind pam_systemd_home pam_fprintd pam_pkcs11 pam_p11 " +
		"pam_u2f pam_yubico pam_google_authenticator pam_oath pam_radius_auth pam_pwdfile pam_userdb pam_himmelblau pam_aad " +
		"pam_authd pam_mysql pam_pgsql pam_tacplus pam_duo pam_ssh_agent_auth pam_otpw")
	neutral = words("pam_env pam_faildelay pam_cap pam_issue pam_group pam_motd pam_mail pam_warn pam_echo pam_keyinit " +
		"pam_selinux pam_lastlog pam_limits pam_umask pam_systemd")
	wallets = words("pam_gnome_keyring pam_kwallet pam_kwallet5 pam_ecryptfs pam_mount") // open something with the password given
	locals  = words("pam_localuser pam_usertype")                                        // ask of what kind the user is
	either  = words("pam_nologin pam_securetty pam_succeed_if pam_access pam_listfile pam_time pam_wheel " +
		"pam_shells pam_timestamp pam_rhosts pam_faillock pam_tally pam_tally2")
)

func words(s string) []string { return strings.Fields(s) }

var (
	refuses = []answer{{"auth_err", true}}
	lets    = []answer{{"success", true}}
	ignores = []answer{{"ignore", true}}
	may     = []answer{{"success", false}, {"auth_err", false}, {"ignore", false}, {"user_unknown", false}}
)

// judged is what a stack does.
type judged struct {
	open    *rule // lets in somebody who gives no password
	maybe   *rule // may do so, or cannot be told
	way     bool  // a right password can open
	nullok  *rule // lets in who has no password
	counted bool  // failures are counted and lock out
}

// judge runs a stack in every way that it can go: first for a stranger, then for who knows his password. members tells whether
// a group has any.
func judge(rules []rule, members func(group string) bool) judged {
	var j judged
	for i := range rules {
		r := &rules[i]
		switch name := strings.TrimSuffix(r.module, ".so"); {
		case name == "pam_unix" && (slices.Contains(r.args, "nullok") || slices.Contains(r.args, "nullok_secure")) && j.nullok == nil:
			j.nullok = r
		case name == "pam_faillock", name == "pam_tally2", name == "pam_tally":
			j.counted = true
		}
	}
	for _, e := range runs(rules, func(r rule) []answer { return stranger(r, members) }) {
		if e.sure && j.open == nil {
			j.open = &rules[e.by]
		} else if !e.sure && j.maybe == nil {
			j.maybe = &rules[e.by]
		}
	}
	j.way = len(runs(rules, func(r rule) []answer {
		as := stranger(r, members)
		if r.bad == "" && slices.Contains(asks, strings.TrimSuffix(r.module, ".so")) {
			as = append(slices.Clone(as), answer{"success", true})
		}
		return as
	})) > 0
	return j
}

// stranger is what a rule's module returns to one who does not know the password.
func stranger(r rule, members func(string) bool) []answer {
	name := strings.TrimSuffix(r.module, ".so")
	switch {
	case r.bad != "":
		return []answer{{"module_unknown", true}}
	case name == "pam_permit":
		return lets
	case name == "pam_deny", name == "pam_rootok":
		return refuses
	case name == "pam_faillock":
		return faillock(r.args)
	case name == "pam_tally", name == "pam_tally2":
		return append(slices.Clone(lets), answer{"auth_err", false})
	case name == "pam_succeed_if":
		return succeedIf(r.args, members)
	case slices.Contains(r.args, "nouserok"), name == "pam_google_authenticator" && slices.Contains(r.args, "nullok"):
		return append(slices.Clone(refuses), may...)
	case slices.Contains(asks, name): // of an account that is not theirs they know nothing
		return append(slices.Clone(refuses), answer{"user_unknown", false}, answer{"authinfo_unavail", false})
	case name == "pam_nologin" && !slices.Contains(r.args, "successok"):
		return append(slices.Clone(ignores), answer{"auth_err", false})
	case slices.Contains(wallets, name):
		return append(slices.Clone(refuses), answer{"ignore", true}, answer{"success", false})
	case slices.Contains(locals, name):
		return append(slices.Clone(lets), answer{"perm_denied", false}, answer{"user_unknown", false})
	case slices.Contains(neutral, name):
		return ignores
	}
	return may
}

// faillock answers by what it was told to do.
func faillock(args []string) []answer {
	switch {
	case slices.Contains(args, "preauth"):
		return append(slices.Clone(lets), answer{"auth_err", false})
	case slices.Contains(args, "authsucc"):
		return lets
	}
	return refuses
}

// succeedIf knows one condition: that the user is in a group, which Debian's display managers ask to let members in
// without a password. Nobody is in a group without members.
func succeedIf(args []string, members func(string) bool) []answer {
	at := slices.Index(args, "ingroup")
	if at > 0 && args[at-1] == "user" && at+1 < len(args) && !slices.ContainsFunc(strings.Split(args[at+1], ":"), members) {
		return refuses
	}
	return may
}

// known reports whether what a module does can be told.
func known(r rule) bool {
	name := strings.TrimSuffix(r.module, ".so")
	return slices.Contains(slices.Concat(either, asks, neutral, wallets, locals), name)
}

// at is where a run stands: what libpam calls impression and status, and how it got there.
type at struct {
	mood    int // 0 undefined, 1 positive, 2 negative
	success bool
	sure    bool
	by      int // the rule that made it positive
}

// runs follows every way through the rules and gives those that let in. Rules only skip forward, so one pass does.
func runs(rules []rule, answers func(rule) []answer) []at {
	stand := make([]map[at]bool, len(rules)+1)
	for i := range stand {
		stand[i] = map[at]bool{}
	}
	stand[0][at{sure: true, by: -1}] = true
	for i, r := range rules {
		for a := range stand[i] {
			if r.begins {
				stand[i+1][a] = true
				continue
			}
			for _, v := range answers(r) {
				next, to := a.after(rules, i, v)
				stand[to][next] = true
			}
		}
	}
	var in []at
	for a := range stand[len(rules)] {
		if a.mood == 1 && a.success {
			in = append(in, a)
		}
	}
	slices.SortFunc(in, func(a, b at) int { return a.by - b.by })
	return in
}

// after is where a run stands when a rule was answered, and the rule that comes next.
func (a at) after(rules []rule, i int, v answer) (at, int) {
	r := rules[i]
	a.sure = a.sure && v.sure
	act, named := r.actions[v.value]
	if !named {
		if act, named = r.actions["default"]; !named {
			act = actBad
		}
	}
	switch {
	case act > 0:
		return a.skip(rules, i, act)
	case act == actOK || act == actDone:
		if a.mood == 0 || a.mood == 1 && a.success {
			if a.mood == 0 {
				a.by = i
			}
			a.mood, a.success = 1, v.value == "success"
		}
		if a.mood == 1 && act == actDone {
			return a, decided(rules, i)
		}
	case act == actBad || act == actDie:
		a.mood, a.success = 2, false
		if act == actDie {
			return a, decided(rules, i)
		}
	case act == actReset:
		a.mood, a.success, a.sure = 0, false, false
	}
	return a, i + 1
}

// decided is the rule after a decision: it ends the substack that it was made in.
func decided(rules []rule, i int) int {
	level := rules[i].level
	for i++; i < len(rules) && level > 0 && rules[i].level >= level; i++ {
	}
	if level == 0 {
		return len(rules)
	}
	return i
}

// skip passes over so many rules; a substack counts as one. Too many is an error that libpam fails on.
func (a at) skip(rules []rule, i, n int) (at, int) {
	level := rules[i].level
	for i++; i < len(rules) && rules[i].level >= level && n > 0; n-- {
		for i++; i < len(rules) && rules[i].level > level; i++ {
		}
	}
	if n > 0 {
		a.mood, a.success = 2, false
	}
	return a, i
}

// asked says in words what a service's stack does with one who gives no password. in is who unlocks or logs on by it.
func (m *Machine) asked(service, in string) (Finding, judged) {
	rules, from, err := pamReader(m.rootsText).stack(service)
	if err != nil {
		return m.unread(err, "cannot tell whether %s asks for a password", in), judged{}
	}
	if len(rules) == 0 {
		return fail("install the PAM file of "+in, "%s: no PAM file for %s, and none called other: nothing opens it", in, service), judged{}
	}
	j := judge(rules, m.hasMembers)
	what := in + ", PAM service " + service
	if from != service {
		what += fmt.Sprintf(" (which has no rules of its own; those of %s are used)", from)
	}
	switch {
	case j.open != nil:
		return fail("correct that line, or end the stack with: auth required pam_deny.so", "%s: no password asked: %s (%s)", what, j.open, j.open.module), j
	case !j.way:
		return fail("reinstall the package that owns the file", "%s: no password opens it: %s", what, broken(rules)), j
	case j.maybe != nil && !known(*j.maybe):
		return warn("find out what this module does", "%s: cannot tell: %s uses %s", what, j.maybe, j.maybe.module), j
	case j.maybe != nil:
		return warn("look at whom the condition of that line lets in", "%s: cannot tell: %s (%s) may let in without a password", what, j.maybe, j.maybe.module), j
	}
	return ok("%s: password asked", what), j
}

// broken says which line keeps everybody out, as far as can be told.
func broken(rules []rule) string {
	for _, r := range rules {
		if r.bad != "" {
			return fmt.Sprintf("%s: %s", r, r.bad)
		}
	}
	return rules[0].file
}
