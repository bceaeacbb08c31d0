package doctor

import (
	"context"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// stacks are the judged stacks by which somebody may come in: lockers and logons.
func (m *Machine) stacks() []judged {
	var out []judged
	for _, l := range m.installed() {
		if l.pam != nil {
			_, j := m.asked(m.pamService(l.pam), l.program)
			out = append(out, j)
		}
	}
	for _, l := range logons {
		if m.program(l.program) != "" {
			_, j := m.asked(l.pam, l.program)
			out = append(out, j)
		}
	}
	return out
}

// blankAccounts counts accounts without a password. Who they are is not printed.
func blankAccounts(_ context.Context, m *Machine) []Finding {
	n, err := m.blank()
	if err != nil {
		return []Finding{m.unread(err, "passwords of accounts")}
	}
	var nullok *rule
	for _, j := range m.stacks() {
		if nullok == nil {
			nullok = j.nullok
		}
	}
	const who = `awk -F: '$2==""{print $1}' /etc/shadow; then passwd -l, or set a password`
	switch {
	case n > 0 && nullok != nil:
		return []Finding{fail(who, "%d accounts without a password could log on and unlock: nullok in %s", n, nullok)}
	case n > 0:
		return []Finding{warn(who, "%d accounts without a password; no stack lets them in by that", n)}
	case nullok != nil:
		return []Finding{note("remove nullok there", "no account is without a password; one would be let in: nullok in %s", nullok)}
	}
	return []Finding{ok("no account is without a password")}
}

// blank counts accounts that have a shell, have not expired and need no password.
func (m *Machine) blank() (n int, err error) {
	users, err := m.text("/etc/passwd")
	if err != nil {
		return 0, err
	}
	secrets, err := m.text("/etc/shadow")
	if err != nil {
		return 0, err
	}
	empty := map[string]bool{}
	for _, s := range fields(secrets) {
		empty[s[0]] = len(s) > 1 && s[1] == "" && !expired(s)
	}
	for _, u := range fields(users) {
		if len(u) > 6 && shellRuns(u[6]) && (u[1] == "" || empty[u[0]]) {
			n++
		}
	}
	return n, nil
}

// expired reports whether an account's line of shadow(5) says that it has expired.
func expired(s []string) bool {
	if len(s) < 8 || s[7] == "" {
		return false
	}
	day, err := strconv.ParseInt(s[7], 10, 64)
	return err == nil && day*86400 < time.Now().Unix()
}

func shellRuns(shell string) bool {
	name := path.Base(shell)
	return name != "nologin" && name != "false"
}

func failLock(_ context.Context, m *Machine) []Finding {
	all := m.stacks()
	if slices.ContainsFunc(all, func(j judged) bool { return j.counted }) {
		return []Finding{ok("failed passwords are counted")}
	}
	return []Finding{note("add pam_faillock.so, see faillock(8); mind that it lets one lock out others", "failed passwords are not counted: a stranger may guess on")}
}

// autoLogons are where display managers are told to log a user on by themselves: section (a prefix of its name), key, and whether
// the value is a switch or a name. Files are read in this order and later ones rule.
var autoLogons = []struct {
	what    string
	files   []string
	section string
	key     string
	isOn    func(string) bool
}{
	{"lightdm", lightdmFiles, "Seat:", "autologin-user", named},
	{"lightdm", lightdmFiles, "SeatDefaults", "autologin-user", named},
	{"lightdm", lightdmFiles, "Seat:", "autologin-guest", on},
	{"gdm", gdmFiles, "daemon", "AutomaticLoginEnable", on},
	{"gdm", gdmFiles, "daemon", "TimedLoginEnable", on},
	{"sddm", []string{"/usr/lib/sddm/sddm.conf.d/*.conf", "/etc/sddm.conf.d/*.conf", "/etc/sddm.conf"}, "Autologin", "User", named},
	{"lxdm", []string{"/etc/lxdm/lxdm.conf", "/etc/lxdm/default.conf"}, "base", "autologin", named},
	{"greetd", []string{"/etc/greetd/config.toml"}, "initial_session", "user", named},
	{"nodm", []string{"/etc/default/nodm", "/etc/nodm.conf"}, "", "NODM_ENABLED", on},
}

var (
	lightdmFiles = []string{"/usr/share/lightdm/lightdm.conf.d/*.conf", "/etc/xdg/lightdm/lightdm.conf.d/*.conf",
		"/etc/lightdm/lightdm.conf.d/*.conf", "/etc/lightdm/lightdm.conf"}
	gdmFiles = []string{"/usr/share/gdm/defaults.conf", "/etc/gdm3/daemon.conf", "/etc/gdm3/custom.conf", "/etc/gdm/custom.conf"}
)

func on(v string) bool {
	v = strings.ToLower(strings.Trim(v, `"'`))
	return v == "true" || v == "yes" || v == "1" || v == "on"
}

func named(v string) bool { return strings.Trim(v, `"' `) != "" }

func autoLogon(_ context.Context, m *Machine) []Finding {
	var fs []Finding
	for _, a := range autoLogons {
		value, file := m.last(a.files, a.section, a.key)
		if a.isOn(value) {
			fs = append(fs, fail("remove it", "%s logs a user on by itself: %s in %s", a.what, a.key, file))
		}
	}
	return append(fs, m.gettys()...)
}

// last is the value of a key in the last of some files that has it.
func (m *Machine) last(patterns []string, section, key string) (value, file string) {
	for _, p := range patterns {
		for _, f := range m.glob(p) {
			text, err := m.text(f)
			if err != nil {
				continue
			}
			for _, s := range settings(text) {
				if strings.HasPrefix(s.section, section) && s.key == key {
					value, file = s.value, f
				}
			}
		}
	}
	return value, file
}

type setting struct{ section, key, value string }

// settings reads what a file of [section] and key=value lines says.
func settings(text string) []setting {
	var out []setting
	section := ""
	for l := range strings.Lines(text) {
		l = strings.TrimSpace(l)
		if l == "" || l[0] == '#' || l[0] == ';' {
			continue
		}
		if l[0] == '[' {
			section = strings.TrimSuffix(strings.TrimPrefix(l, "["), "]")
			continue
		}
		if k, v, found := strings.Cut(l, "="); found {
			out = append(out, setting{section, strings.TrimSpace(k), strings.TrimSpace(v)})
		}
	}
	return out
}

// gettyAuto is how agetty and mingetty are told to log on by themselves.
var gettyAuto = regexp.MustCompile(`(?m)^ExecStart=.*getty.*\s(--autologin|-a)[ =]`)

// gettys looks at the units of text consoles. One that a unit of the same name in a higher directory replaces is looked at
// all the same: it may come back.
func (m *Machine) gettys() []Finding {
	var fs []Finding
	for _, dir := range []string{"/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system"} {
		for _, p := range append(m.glob(dir+"/*getty*.service"), m.glob(dir+"/*getty*.service.d/*.conf")...) {
			text, err := m.text(p)
			if err == nil && gettyAuto.MatchString(text) {
				fs = append(fs, fail("remove it, then: systemctl daemon-reload", "a text console logs a user on by itself: %s", p))
			}
		}
	}
	return fs
}
