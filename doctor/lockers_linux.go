package doctor

import (
	"cmp"
	"context"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"stepaway/policy"
)

// locker is a program that locks, and how it takes the password.
type locker struct {
	program string   // file name
	pam     []string // its PAM services, the first that has a file counts; none: it reads the shadow file itself
	proof   policy.Proof
}

// The lockers that desktops bring, and those that people install.
var lockers = []locker{
	{"i3lock", []string{"i3lock"}, policy.ProofLocker},
	{"i3lock-color", []string{"i3lock"}, policy.ProofLocker},
	{"xsecurelock", []string{"xsecurelock", "common-auth", "system-auth"}, policy.ProofLocker},
	{"xscreensaver", []string{"xscreensaver"}, policy.ProofLocker},
	{"xfce4-screensaver", []string{"xfce4-screensaver"}, policy.ProofLocker},
	{"mate-screensaver", []string{"mate-screensaver"}, policy.ProofLocker},
	{"cinnamon-screensaver", []string{"cinnamon-screensaver"}, policy.ProofClaim}, // a script: what runs is Python
	{"gnome-screensaver", []string{"gnome-screensaver"}, policy.ProofLocker},
	{"ukui-screensaver-dialog", []string{"ukui-screensaver-qt"}, policy.ProofLocker},
	{"light-locker", []string{"lightdm"}, policy.ProofGreeter},
	{"swaylock", []string{"swaylock"}, policy.ProofLocker},
	{"gtklock", []string{"gtklock"}, policy.ProofLocker},
	{"waylock", []string{"waylock"}, policy.ProofLocker},
	{"hyprlock", []string{"hyprlock"}, policy.ProofLocker},
	{"xlock", []string{"xlock"}, policy.ProofLocker},
	{"slock", nil, policy.ProofLocker},
	{"xtrlock", nil, policy.ProofLocker},
	{"gnome-shell", []string{"gdm-password"}, policy.ProofClaim},
	{"kscreenlocker_greet", []string{"kde", "kscreensaver"}, policy.ProofClaim},
}

func lockerNamed(program string) (locker, bool) {
	i := slices.IndexFunc(lockers, func(l locker) bool { return l.program == program })
	if i < 0 {
		return locker{program: program, pam: []string{program}, proof: policy.ProofLocker}, false
	}
	return lockers[i], true
}

// desktops are which lockers a desktop may have, by words in the name of its session; the first that fits counts.
var desktops = []struct {
	words   []string
	lockers []string
}{
	{[]string{"gnome", "ubuntu", "phosh"}, []string{"gnome-shell"}},
	{[]string{"plasma", "kde"}, []string{"kscreenlocker_greet"}},
	{[]string{"xfce", "xubuntu"}, []string{"light-locker", "xfce4-screensaver", "xscreensaver"}},
	{[]string{"mate"}, []string{"mate-screensaver"}},
	{[]string{"cinnamon"}, []string{"cinnamon-screensaver"}},
	{[]string{"ukui"}, []string{"ukui-screensaver-dialog"}},
	{[]string{"sway", "hyprland", "labwc", "wayfire", "river"}, []string{"swaylock", "hyprlock", "gtklock", "waylock"}},
	{nil, []string{"light-locker", "xscreensaver", "i3lock", "xsecurelock", "slock", "xtrlock"}}, // any other, with xss-lock
}

// lockersOf are the lockers that a desktop of that name may have.
func lockersOf(desktop string) []string {
	desktop = strings.ToLower(desktop)
	for _, d := range desktops {
		if d.words == nil || slices.ContainsFunc(d.words, func(w string) bool { return strings.Contains(desktop, w) }) {
			return d.lockers
		}
	}
	return nil
}

// desktopLocker looks at the desktops that a user can choose at logon.
func desktopLocker(_ context.Context, m *Machine) []Finding {
	var fs []Finding
	for _, p := range append(m.glob("/usr/share/xsessions/*.desktop"), m.glob("/usr/share/wayland-sessions/*.desktop")...) {
		wayland := strings.Contains(p, "wayland")
		fs = append(fs, m.wouldLock("desktop "+strings.TrimSuffix(path.Base(p), ".desktop"), path.Base(p), wayland))
	}
	if len(fs) == 0 {
		fs = append(fs, note("", "no desktop is installed"))
	}
	return fs
}

// sessionLocker looks at the desktops that are open.
func sessionLocker(ctx context.Context, m *Machine) []Finding {
	st, err := m.Status()
	if err != nil {
		return []Finding{note("start the agent", "no agent answers")}
	}
	var fs []Finding
	for _, s := range st.Sessions {
		if s.Kind != "x11" && s.Kind != "wayland" {
			continue
		}
		out, err := m.run(ctx, "loginctl", "show-session", s.ID, "-p", "Desktop,Type")
		if err != nil {
			fs = append(fs, m.unread(err, "session %s", s.ID))
			continue
		}
		desktop := shown(out)["Desktop"]
		fs = append(fs, m.wouldLock("session "+s.ID+" ("+cmp.Or(word(desktop), "desktop unknown")+")", desktop, s.Kind == "wayland"))
	}
	if len(fs) == 0 {
		fs = append(fs, ok("no desktop is open"))
	}
	return fs
}

// word keeps of a name that a session gave itself what a name needs.
func word(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("._-:+", r) || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s[:min(len(s), 64)])
}

// wouldLock says what locks a desktop and what proves it.
func (m *Machine) wouldLock(what, desktop string, wayland bool) Finding {
	var found *locker
	for _, name := range lockersOf(desktop) {
		at := m.program(name)
		if at == "" {
			continue
		}
		l, _ := lockerNamed(name)
		if err := m.roots(at); err != nil {
			return m.unread(err, "%s: its locker", what)
		}
		found = &l
		break
	}
	switch {
	case found == nil && len(m.InForce.Lock.Fallback) > 0:
		return ok("%s: has no locker of its own; the fallback %s locks it", what, path.Base(m.InForce.Lock.Fallback[0]))
	case found == nil:
		return fail("install one of "+strings.Join(lockersOf(desktop), ", ")+", or set lock.fallback in the policy", "%s: nothing would lock it", what)
	}
	proof := found.proof
	if found.program == "kscreenlocker_greet" && !wayland {
		proof = policy.ProofLocker
	}
	starts := ""
	if proof == policy.ProofLocker && lockersOf(desktop)[0] == "light-locker" && found.program != "light-locker" && m.program("xss-lock") == "" {
		starts = "; xss-lock, which would start it at logind's word, is not installed"
	}
	if !proof.AtLeast(m.least()) {
		if proof == policy.ProofClaim {
			return warn("set lock.proof: claim for such workstations, and no lock.terminate", "%s: %s locks it, and only its own claim can be had, weaker than lock.proof %s: every lock raises lock.failed", what, found.program, m.least())
		}
		return warn("set lock.proof: "+string(proof)+" or install another locker", "%s: %s locks it, proved by %s, weaker than lock.proof %s", what, found.program, proof, m.least())
	}
	if starts != "" && len(m.InForce.Lock.Fallback) == 0 {
		return warn("install xss-lock, or set lock.fallback in the policy", "%s: %s%s", what, found.program, starts)
	}
	return ok("%s: %s, proved by %s%s", what, found.program, proof, starts)
}

// least is the weakest proof that the policy in force takes.
func (m *Machine) least() policy.Proof {
	return cmp.Or(m.InForce.Lock.Proof, policy.ProofLocker)
}

func fallback(_ context.Context, m *Machine) []Finding {
	list := m.InForce.Lock.Fallback
	if len(list) == 0 {
		return []Finding{note("set lock.fallback, for example [/usr/bin/i3lock, -n]", "no fallback: a session whose own locker fails stays open, unless lock.terminate is set")}
	}
	at := list[0]
	if err := m.roots(at); err != nil {
		return []Finding{fail("install it, or name another in lock.fallback; root's and writable by nobody else", "lock.fallback: %v", err)}
	}
	f, err := m.open(at, unix.O_PATH)
	if err != nil {
		return []Finding{m.unread(err, "lock.fallback")}
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return []Finding{fail("name a program", "lock.fallback: %s is not a program", at)}
	}
	if _, known := lockerNamed(path.Base(at)); !known && (m.Locker == nil || !m.Locker(at)) {
		return []Finding{note("look for a locker that is proved to cover the screen", "lock.fallback: %s is no locker that is known", at)}
	}
	return []Finding{ok("%s is there, and only root can change it", at)}
}

// unlockPassword judges the PAM stack of every locker that is installed.
func unlockPassword(_ context.Context, m *Machine) []Finding {
	var fs []Finding
	for _, l := range m.installed() {
		if l.pam == nil {
			fs = append(fs, note("", "%s: compares the password itself, without PAM", l.program))
			continue
		}
		f, _ := m.asked(m.pamService(l.pam), l.program)
		fs = append(fs, f)
	}
	if len(fs) == 0 {
		fs = append(fs, note("", "no locker that is known is installed"))
	}
	return fs
}

// installed are the known lockers on this machine, and the fallback.
func (m *Machine) installed() []locker {
	var out []locker
	for _, l := range lockers {
		if m.program(l.program) != "" {
			out = append(out, l)
		}
	}
	if fb := m.InForce.Lock.Fallback; len(fb) > 0 && m.exists(fb[0]) {
		l, _ := lockerNamed(path.Base(fb[0]))
		if !slices.ContainsFunc(out, func(o locker) bool { return o.program == l.program }) {
			out = append(out, l)
		}
	}
	return out
}

// pamService is the first of some PAM services that has a file, else the first.
func (m *Machine) pamService(names []string) string {
	for _, n := range names {
		for _, dir := range pamDirs {
			if m.exists(path.Join(dir, n)) {
				return n
			}
		}
	}
	return names[0]
}

// logons are programs by which users log on, and their PAM services.
var logons = []struct{ program, pam string }{
	{"lightdm", "lightdm"}, {"gdm3", "gdm-password"}, {"gdm", "gdm-password"}, {"sddm", "sddm"}, {"lxdm", "lxdm"},
	{"xdm", "xdm"}, {"greetd", "greetd"}, {"xrdp-sesman", "xrdp-sesman"}, {"login", "login"},
}

func logonPassword(_ context.Context, m *Machine) []Finding {
	var fs []Finding
	for _, l := range logons {
		if m.program(l.program) != "" {
			f, _ := m.asked(l.pam, l.program)
			fs = append(fs, f)
		}
	}
	return fs
}
