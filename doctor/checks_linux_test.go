package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/link"
	"stepaway/policy"
)

// want is what a check has to find among other things.
type want struct {
	verdict Verdict
	saw     string
}

func has(fs []Finding, w want) bool {
	for _, f := range fs {
		if f.Verdict == w.verdict && strings.Contains(f.Saw, w.saw) {
			return true
		}
	}
	return false
}

// said answers programs by the beginning of their command line.
func said(answers map[string]string) func(context.Context, string, ...string) ([]byte, error) {
	return func(_ context.Context, name string, args ...string) ([]byte, error) {
		line := filepath.Base(name) + " " + strings.Join(args, " ")
		for begin, out := range answers {
			if strings.HasPrefix(line, begin) {
				return []byte(out), nil
			}
		}
		return nil, fs.ErrNotExist
	}
}

const desktopFile = "[Desktop Entry]\nName=x\n"

func TestChecksOfFiles(t *testing.T) {
	blank := map[string]string{"/etc/passwd": "root:x:0:0::/:/bin/sh\na:x:1:1::/:/bin/sh\nb:x:2:2::/:/usr/sbin/nologin\nold:x:3:3::/:/bin/sh\n",
		"/etc/shadow": "root:*:1::::::\na::1::::::\nb::1::::::\nold::1:::::1:\n", "/usr/bin/login": "", "/etc/pam.d/login": "@include common-auth"}
	for _, c := range []struct {
		name   string
		check  func(context.Context, *Machine) []Finding
		files  map[string]string
		policy policy.Policy
		want   want
	}{
		{"none without password", blankAccounts, map[string]string{"/etc/passwd": "a:x:1:1::/:/bin/sh\n", "/etc/shadow": "a:*:1::::::\n"}, policy.Policy{}, want{OK, "no account"}},
		{"one, and nullok", blankAccounts, with(blank, "/etc/pam.d/common-auth", debian), policy.Policy{}, want{Fail, "1 accounts without a password could log on and unlock: nullok in line 1 of /etc/pam.d/common-auth"}},
		{"one, and no nullok", blankAccounts, with(blank, "/etc/pam.d/common-auth", "auth required pam_unix.so"), policy.Policy{}, want{Warn, "1 accounts"}},
		{"empty in passwd", blankAccounts, map[string]string{"/etc/passwd": "a::1:1::/:/bin/sh\n", "/etc/shadow": ""}, policy.Policy{}, want{Warn, "1 accounts"}},
		{"no shadow", blankAccounts, map[string]string{"/etc/passwd": ""}, policy.Policy{}, want{Warn, "no such file"}},

		{"no autologon", autoLogon, map[string]string{"/etc/lightdm/lightdm.conf": "[Seat:*]\n#autologin-user=kiosk\nautologin-user=\n"}, policy.Policy{}, want{}},
		{"lightdm", autoLogon, map[string]string{"/etc/lightdm/lightdm.conf": "[Seat:*]\nautologin-user = kiosk\n"}, policy.Policy{}, want{Fail, "lightdm logs a user on by itself: autologin-user in /etc/lightdm/lightdm.conf"}},
		{"lightdm, drop-in", autoLogon, map[string]string{"/etc/lightdm/lightdm.conf.d/50.conf": "[Seat:seat0]\nautologin-user=kiosk\n"}, policy.Policy{}, want{Fail, "50.conf"}},
		{"lightdm, overruled", autoLogon, map[string]string{"/usr/share/lightdm/lightdm.conf.d/50.conf": "[Seat:*]\nautologin-user=kiosk\n", "/etc/lightdm/lightdm.conf": "[Seat:*]\nautologin-user=\n"}, policy.Policy{}, want{}},
		{"gdm", autoLogon, map[string]string{"/etc/gdm3/daemon.conf": "[daemon]\nAutomaticLoginEnable = True\nAutomaticLogin = kiosk\n"}, policy.Policy{}, want{Fail, "AutomaticLoginEnable in /etc/gdm3/daemon.conf"}},
		{"gdm, a name but not enabled", autoLogon, map[string]string{"/etc/gdm3/daemon.conf": "[daemon]\nAutomaticLoginEnable=false\nAutomaticLogin=kiosk\n"}, policy.Policy{}, want{}},
		{"sddm", autoLogon, map[string]string{"/etc/sddm.conf.d/a.conf": "[Autologin]\nUser=kiosk\nSession=plasma\n"}, policy.Policy{}, want{Fail, "sddm"}},
		{"greetd", autoLogon, map[string]string{"/etc/greetd/config.toml": "[initial_session]\nuser = \"kiosk\"\n"}, policy.Policy{}, want{Fail, "greetd"}},
		{"getty", autoLogon, map[string]string{"/etc/systemd/system/getty@tty1.service.d/a.conf": "[Service]\nExecStart=\nExecStart=-/sbin/agetty --autologin kiosk --noclear %I $TERM\n"}, policy.Policy{}, want{Fail, "text console"}},
		{"getty, short", autoLogon, map[string]string{"/etc/systemd/system/serial-getty@.service": "[Service]\nExecStart=-/sbin/agetty -a kiosk %I\n"}, policy.Policy{}, want{Fail, "text console"}},
		{"getty as it comes", autoLogon, map[string]string{"/usr/lib/systemd/system/getty@.service": "[Service]\nExecStart=-/sbin/agetty -o '-p -- \\\\u' --noclear - $TERM\n"}, policy.Policy{}, want{}},

		{"faillock", failLock, map[string]string{"/usr/bin/login": "", "/etc/pam.d/login": redhat}, policy.Policy{}, want{OK, "counted"}},
		{"no faillock", failLock, map[string]string{"/usr/bin/login": "", "/etc/pam.d/login": debian}, policy.Policy{}, want{Note, "not counted"}},

		{"dconf", desktopSettings, map[string]string{"/etc/dconf/db/local.d/00": "[org/gnome/desktop/lockdown]\ndisable-lock-screen=true\n"}, policy.Policy{}, want{Fail, "disable-lock-screen=true in /etc/dconf/db/local.d/00"}},
		{"dconf, harmless", desktopSettings, map[string]string{"/etc/dconf/db/local.d/00": "[org/gnome/desktop/screensaver]\nlock-enabled=false\n"}, policy.Policy{}, want{Note, "Stepaway does"}},
		{"gschema", desktopSettings, map[string]string{"/usr/share/glib-2.0/schemas/a.gschema.override": "[org.mate.screensaver:MATE]\nlock-enabled=false\n"}, policy.Policy{}, want{Fail, "lock-enabled=false"}},
		{"dconf, overruled", desktopSettings, map[string]string{"/usr/share/glib-2.0/schemas/a.gschema.override": "[org.mate.screensaver]\nlock-enabled=false\n", "/etc/dconf/db/local.d/a": "[org/mate/screensaver]\nlock-enabled=true\n"}, policy.Policy{}, want{}},
		{"xfconf", desktopSettings, map[string]string{"/etc/xdg/xfce4/xfconf/xfce-perchannel-xml/xfce4-screensaver.xml": `<?xml version="1.0"?><channel name="xfce4-screensaver" version="1.0"><property name="lock" type="empty"><property name="enabled" type="bool" value="false"/></property></channel>`}, policy.Policy{}, want{Fail, "lock/enabled=false"}},
		{"kde", desktopSettings, map[string]string{"/etc/xdg/kdeglobals": "[KDE Action Restrictions][$i]\naction/lock_screen=false\n"}, policy.Policy{}, want{Fail, "action/lock_screen"}},
		{"xfconf, hostile", desktopSettings, map[string]string{"/etc/xdg/xfce4/xfconf/xfce-perchannel-xml/xfce4-screensaver.xml": "<a><a><<"}, policy.Policy{}, want{}},

		{"xfce with light-locker", desktopLocker, map[string]string{"/usr/share/xsessions/xfce.desktop": desktopFile, "/usr/bin/light-locker": ""}, policy.Policy{}, want{OK, "light-locker, proved by greeter"}},
		{"xfce with nothing", desktopLocker, map[string]string{"/usr/share/xsessions/xfce.desktop": desktopFile}, policy.Policy{}, want{Fail, "nothing would lock it"}},
		{"xfce with the fallback", desktopLocker, map[string]string{"/usr/share/xsessions/xfce.desktop": desktopFile}, policy.Policy{Lock: policy.LockPolicy{Fallback: []string{"/usr/bin/i3lock"}}}, want{OK, "fallback i3lock locks it"}},
		{"GNOME", desktopLocker, map[string]string{"/usr/share/wayland-sessions/gnome.desktop": desktopFile, "/usr/bin/gnome-shell": ""}, policy.Policy{}, want{Warn, "only its own claim"}},
		{"GNOME under a policy that takes a claim", desktopLocker, map[string]string{"/usr/share/wayland-sessions/gnome.desktop": desktopFile, "/usr/bin/gnome-shell": ""}, policy.Policy{Lock: policy.LockPolicy{Proof: policy.ProofClaim}}, want{OK, "proved by claim"}},
		{"Plasma on X11", desktopLocker, map[string]string{"/usr/share/xsessions/plasma.desktop": desktopFile, "/usr/lib/x86_64-linux-gnu/libexec/kscreenlocker_greet": ""}, policy.Policy{}, want{OK, "proved by locker"}},
		{"MATE under a policy that wants a greeter", desktopLocker, map[string]string{"/usr/share/xsessions/mate.desktop": desktopFile, "/usr/bin/mate-screensaver": ""}, policy.Policy{Lock: policy.LockPolicy{Proof: policy.ProofGreeter}}, want{Warn, "weaker than lock.proof greeter"}},
		{"sway", desktopLocker, map[string]string{"/usr/share/wayland-sessions/sway.desktop": desktopFile, "/usr/bin/swaylock": ""}, policy.Policy{}, want{OK, "swaylock, proved by locker"}},
		{"i3 without xss-lock", desktopLocker, map[string]string{"/usr/share/xsessions/i3.desktop": desktopFile, "/usr/bin/i3lock": ""}, policy.Policy{}, want{Warn, "xss-lock"}},
		{"i3 with it", desktopLocker, map[string]string{"/usr/share/xsessions/i3.desktop": desktopFile, "/usr/bin/i3lock": "", "/usr/bin/xss-lock": ""}, policy.Policy{}, want{OK, "i3lock"}},

		{"a fallback", fallback, map[string]string{"/usr/bin/i3lock": "x"}, policy.Policy{Lock: policy.LockPolicy{Fallback: []string{"/usr/bin/i3lock"}}}, want{Fail, "not a program"}},
		{"no fallback", fallback, nil, policy.Policy{}, want{Note, "no fallback"}},
		{"a fallback that is missing", fallback, nil, policy.Policy{Lock: policy.LockPolicy{Fallback: []string{"/usr/bin/i3lock"}}}, want{Fail, "no such file"}},

		{"lockers", unlockPassword, map[string]string{"/usr/bin/i3lock": "", "/usr/bin/slock": "", "/etc/pam.d/i3lock": debian}, policy.Policy{}, want{OK, "i3lock, PAM service i3lock: password asked"}},
		{"a locker without PAM", unlockPassword, map[string]string{"/usr/bin/slock": ""}, policy.Policy{}, want{Note, "without PAM"}},
		{"a locker without its file", unlockPassword, map[string]string{"/usr/bin/i3lock": ""}, policy.Policy{}, want{Fail, "nothing opens it"}},
		{"light-locker asks as lightdm", unlockPassword, map[string]string{"/usr/bin/light-locker": "", "/etc/pam.d/lightdm": greeter, "/etc/pam.d/common-auth": debian, "/etc/group": "root:x:0:\n"}, policy.Policy{}, want{OK, "PAM service lightdm: password asked"}},
		{"the fallback's own name", unlockPassword, map[string]string{"/opt/clinic/wardlock": "", "/etc/pam.d/wardlock": "auth required pam_permit.so"}, policy.Policy{Lock: policy.LockPolicy{Fallback: []string{"/opt/clinic/wardlock"}}}, want{Fail, "no password asked: line 1 of /etc/pam.d/wardlock"}},
		{"a display manager", logonPassword, map[string]string{"/usr/sbin/lightdm": "", "/etc/pam.d/lightdm": "auth sufficient pam_permit.so"}, policy.Policy{}, want{Fail, "lightdm: no password asked"}},

		{"local time", clockSane, map[string]string{"/etc/adjtime": "0.0 0 0.0\n0\nLOCAL\n"}, policy.Policy{}, want{Warn, "local time"}},
		{"an old battery", clockSane, map[string]string{"/sys/class/rtc/rtc0/since_epoch": "1000\n"}, policy.Policy{}, want{Warn, "away"}},
		{"set by hand", clockSane, map[string]string{"/sys/class/rtc/rtc0/since_epoch": strconv.FormatInt(time.Now().Unix(), 10)}, policy.Policy{}, want{Note, "set 2 times"}},
		{"kernel", kernelHas, nil, policy.Policy{}, want{OK, "kernel"}},
		{"too long", policyTaken, nil, policy.Policy{Limit: time.Hour, Warning: time.Minute}, want{Warn, "longer than the 15m"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := tree(t, c.files)
			m.InForce, m.Synced = c.policy, func() bool { return true }
			m.Status = func() (link.Status, error) {
				return link.Status{Totals: &link.Totals{Events: map[audit.Type]uint64{audit.ClockJump: 2}}}, nil
			}
			got := c.check(t.Context(), m)
			if c.want == (want{}) && len(got) == 0 {
				return
			}
			if !has(got, c.want) {
				t.Errorf("found %+v, want %+v", got, c.want)
			}
		})
	}
}

// with is a map with one entry more.
func with(files map[string]string, name, text string) map[string]string {
	out := map[string]string{name: text}
	for k, v := range files {
		out[k] = v
	}
	return out
}

func TestFilesOfTheAgent(t *testing.T) {
	m := tree(t, map[string]string{"/etc/passwd": "stepaway:x:4242:4242::/:/usr/sbin/nologin\n"})
	for name, mode := range map[string]os.FileMode{"/etc/stepaway/policy.yaml": 0o644, "/run/stepaway/link.sock": 0o666, "/run/stepaway/input.json": 0o600,
		"/run/stepaway/metrics/stepaway.prom": 0o644, "/var/lib/stepaway/agent/policy.good.json": 0o600, "/var/lib/stepaway/courier/identity/key": 0o600, "/usr/bin/stepaway-agent": 0o755} {
		m.put(t, name, "", mode)
	}
	mode := func(name string, mode os.FileMode) {
		if err := os.Chmod(filepath.Join(m.Root, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	own := func(name string, uid int) {
		if err := os.Lchown(filepath.Join(m.Root, name), uid, -1); err != nil {
			t.Fatal(err)
		}
	}
	mode("/var/lib/stepaway/agent", 0o700)
	for _, dir := range []string{"", "/identity"} {
		mode("/var/lib/stepaway/courier"+dir, 0o700)
		own("/var/lib/stepaway/courier"+dir, 4242)
	}
	own("/var/lib/stepaway/courier/identity/key", 4242)
	if got := filePermissions(t.Context(), m); len(got) != 1 || got[0].Verdict != OK {
		t.Fatalf("%+v", got)
	}
	for _, c := range []struct {
		name string
		mode os.FileMode
		uid  int
	}{
		{"/etc/stepaway/policy.yaml", 0o664, 0}, {"/etc/stepaway/policy.yaml", 0o644, 1000}, {"/etc/stepaway", 0o777, 0},
		{"/run/stepaway/input.json", 0o640, 0}, {"/run/stepaway", 0o1777, 0}, {"/run/stepaway/link.sock", 0o666, 4242},
		{"/var/lib/stepaway/agent", 0o755, 0}, {"/var/lib/stepaway/agent/policy.good.json", 0o604, 0},
		{"/var/lib/stepaway/courier/identity/key", 0o644, 4242}, {"/var/lib/stepaway/courier/identity", 0o700, 1000}, {"/usr/bin/stepaway-agent", 0o775, 0},
	} {
		info, err := os.Stat(filepath.Join(m.Root, c.name))
		if err != nil {
			t.Fatal(err)
		}
		before := 0
		if strings.Contains(c.name, "courier") {
			before = 4242
		}
		mode(c.name, c.mode)
		own(c.name, c.uid)
		if got := filePermissions(t.Context(), m); !has(got, want{Fail, c.name}) {
			t.Errorf("%s with mode %o of %d: %+v", c.name, c.mode, c.uid, got)
		}
		own(c.name, before)
		mode(c.name, info.Mode().Perm())
	}
	if err := os.Remove(filepath.Join(m.Root, "run/stepaway/link.sock")); err != nil {
		t.Fatal(err)
	}
	if got := filePermissions(t.Context(), m); !has(got, want{Warn, "link.sock is missing"}) {
		t.Errorf("%+v", got)
	}
}

func TestFallbackThatOthersCanChange(t *testing.T) {
	m := tree(t, nil)
	m.InForce.Lock.Fallback = []string{"/opt/x/i3lock", "-n"}
	m.put(t, "/opt/x/i3lock", "x", 0o755)
	if got := fallback(t.Context(), m); !has(got, want{OK, "only root can change it"}) {
		t.Errorf("%+v", got)
	}
	if err := os.Chmod(filepath.Join(m.Root, "opt/x"), 0o777); err != nil {
		t.Fatal(err)
	}
	if got := fallback(t.Context(), m); !has(got, want{Fail, "/opt/x can be changed by others"}) {
		t.Errorf("%+v", got)
	}
}

func TestChecksOfServices(t *testing.T) {
	good := "LoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\nNRestarts=0\nResult=success\n"
	soon, past := time.Now().Add(24*time.Hour).Format(time.RFC3339), time.Now().Add(-time.Hour).Format(time.RFC3339)
	st := func(s link.Status) func() (link.Status, error) { return func() (link.Status, error) { return s, nil } }
	for _, c := range []struct {
		name   string
		check  func(context.Context, *Machine) []Finding
		says   map[string]string
		status link.Status
		want   want
	}{
		{"runs", agentService, map[string]string{"systemctl show stepaway.service": good}, link.Status{}, want{OK, "active and enabled"}},
		{"failed", agentService, map[string]string{"systemctl": strings.Replace(good, "=active", "=failed", 1)}, link.Status{}, want{Fail, "is failed"}},
		{"disabled", courierService, map[string]string{"systemctl show stepaway-courier": strings.Replace(good, "=enabled", "=disabled", 1)}, link.Status{}, want{Fail, "will not start at boot"}},
		{"missing", courierService, map[string]string{"systemctl": "LoadState=not-found\n"}, link.Status{}, want{Fail, "not-found"}},
		{"crashes", agentService, map[string]string{"systemctl": strings.Replace(good, "NRestarts=0", "NRestarts=7", 1)}, link.Status{}, want{Warn, "7 times"}},
		{"no systemd", agentService, nil, link.Status{}, want{Warn, "state of stepaway.service"}},

		{"answers", linkAnswers, nil, link.Status{Version: "1", Courier: &link.Courier{}}, want{OK, "version 1"}},
		{"another version", linkAnswers, nil, link.Status{Version: "0"}, want{Warn, "the running agent is 0, the installed one 1"}},
		{"no courier", linkAnswers, nil, link.Status{Version: "1", Waiting: 9}, want{Fail, "9 events wait"}},

		{"evdev", sessionInput, nil, link.Status{Sessions: []link.SessionStatus{{ID: "2", Readable: true, Why: "idle: [root=yes kind=x11 seat=seat0 evdev=2 ret=evdev]"}}}, want{OK, "session 2: [root=yes"}},
		{"display of a seat", sessionInput, nil, link.Status{Sessions: []link.SessionStatus{{ID: "2", Seat: "seat0", Readable: true, Why: "idle: [ret=x11] no device"}}}, want{Note, "could make input"}},
		{"blind", sessionInput, nil, link.Status{Sessions: []link.SessionStatus{{ID: "2", Why: "idle: [ret=none] cookie refused"}}}, want{Fail, "cookie refused"}},

		{"a desktop's locker", sessionLocker, map[string]string{"loginctl show-session 2": "Type=x11\nDesktop=xfce\n"}, link.Status{Sessions: []link.SessionStatus{{ID: "2", Kind: "x11"}}}, want{Fail, "session 2 (xfce): nothing would lock it"}},
		{"no desktop", sessionLocker, nil, link.Status{Sessions: []link.SessionStatus{{ID: "2", Kind: "ssh"}}}, want{OK, "no desktop"}},

		{"enrolled", collectorReached, map[string]string{"stepaway-courier status": `{"collector":"up","certificate_until":"2999-01-01T00:00:00Z","new":1}`}, link.Status{}, want{OK, "until 2999-01-01"}},
		{"not enrolled", collectorReached, map[string]string{"stepaway-courier": `{"collector":"none"}`}, link.Status{}, want{Warn, "not enrolled"}},
		{"down", collectorReached, map[string]string{"stepaway-courier": `{"collector":"down","code":"refused","certificate_until":"2999-01-01T00:00:00Z"}`}, link.Status{}, want{Warn, "collector down refused"}},
		{"soon over", collectorReached, map[string]string{"stepaway-courier": `{"collector":"up","certificate_until":"` + soon + `"}`}, link.Status{}, want{Warn, "ends on"}},
		{"over", collectorReached, map[string]string{"stepaway-courier": `{"collector":"up","certificate_until":"` + past + `"}`}, link.Status{}, want{Fail, "ended on"}},
		{"garbage", collectorReached, map[string]string{"stepaway-courier": `{`}, link.Status{}, want{Warn, "not understood"}},
		{"dropped", spoolRoom, map[string]string{"stepaway-courier": `{"dropped":3}`}, link.Status{}, want{Fail, "3 records"}},
		{"full", spoolRoom, map[string]string{"stepaway-courier": `{"bytes":60000000}`}, link.Status{}, want{Warn, "57 MiB of 64"}},
		{"room", spoolRoom, map[string]string{"stepaway-courier": `{"waiting":3,"bytes":2048}`}, link.Status{}, want{OK, "3 records wait, 2 KiB"}},

		{"held", sleepHeld, map[string]string{"busctl --json=short call": `{"type":"a(ssssuu)","data":[[["sleep","Stepaway","why","delay",0,1]]]}`}, link.Status{}, want{OK, "locks before"}},
		{"blocked", sleepHeld, map[string]string{"busctl --json=short call": `{"type":"a(ssssuu)","data":[[["idle:sleep","video player","x","block",1000,1]]]}`}, link.Status{}, want{Note, "videoplayer blocks idle:sleep"}},
		{"not held", sleepHeld, map[string]string{"busctl --json=short call": `{"data":[[]]}`}, link.Status{}, want{Warn, "does not hold back sleep"}},
		{"idle action", sleepHeld, map[string]string{"busctl --json=short call": `{"data":[[]]}`, "busctl --json=short get": "{\"type\":\"s\",\"data\":\"ignore\"}\n{\"type\":\"s\",\"data\":\"suspend\"}\n{\"type\":\"t\",\"data\":1800000000}\n"}, link.Status{}, want{Note, "logind does suspend after 30m0s"}},
		{"lid", sleepHeld, map[string]string{"busctl --json=short call": `{"data":[[]]}`, "busctl --json=short get": "{\"data\":\"ignore\"}\n{\"data\":\"ignore\"}\n{\"data\":1800000000}\n"}, link.Status{}, want{Note, "closed lid"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := tree(t, nil)
			m.Run, m.Status, m.Version = said(c.says), st(c.status), "1"
			if got := c.check(t.Context(), m); !has(got, c.want) {
				t.Errorf("found %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestPolicyThatIsNotTaken(t *testing.T) {
	m := &Machine{InForce: policy.Default(), From: "last good", Wrong: errors.New("policy.yaml:1:1: limit\nand more"), Policy: "/p", Problems: []string{"signers:3: no key"}}
	got := policyTaken(t.Context(), m)
	if !has(got, want{Fail, "last good rules: policy.yaml:1:1: limit; and more"}) || !has(got, want{Warn, "signers:3"}) {
		t.Errorf("%+v", got)
	}
	m = &Machine{InForce: policy.Default(), From: policy.BuiltIn}
	if got := policyTaken(t.Context(), m); !has(got, want{Note, "no policy"}) {
		t.Errorf("%+v", got)
	}
}

// A user is told what he could not look at, and nothing that he could not see fails.
func TestAUserIsToldWhatWasNotSeen(t *testing.T) {
	m := tree(t, nil)
	m.UID, m.Run = 1000, said(nil)
	for _, c := range []func(context.Context, *Machine) []Finding{collectorReached, spoolRoom, filePermissions} {
		if got := c(t.Context(), m); !has(got, want{Note, "not"}) && !has(got, want{Note, "only root"}) {
			t.Errorf("%+v", got)
		}
	}
	if f := m.unread(&fs.PathError{Op: "open", Path: "/etc/shadow", Err: fs.ErrPermission}, "passwords"); f.Verdict != Note || f.Do != "run doctor as root" {
		t.Errorf("%+v", f)
	}
}

func TestACheckThatHangsKeepsNoOtherFromBeingDone(t *testing.T) {
	hung := make(chan struct{})
	defer close(hung)
	all := []check{
		{"hangs", "", "", func(context.Context, *Machine) []Finding { <-hung; return nil }},
		{"done", "", "", func(context.Context, *Machine) []Finding { return nil }},
	}
	got := diagnose(t.Context(), &Machine{}, all, 20*time.Millisecond)
	if len(got) != 2 || got[0].ID != "hangs" || got[0].Verdict != Warn || got[1] != (Finding{ID: "done", Verdict: OK, Saw: "nothing to say"}) || Failed(got) {
		t.Errorf("%+v", got)
	}
}

// Every check is explained in the documentation, in the words of the table, and nothing else is.
func TestDocumentationHasEveryCheck(t *testing.T) {
	b, err := os.ReadFile("../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, c := range checks {
		rows = append(rows, "| "+c.id+" | "+c.about+" | "+c.means+" |")
	}
	if table := strings.Join(rows, "\n"); !strings.Contains(string(b), "| check | what it looks at | otherwise |\n|---|---|---|\n"+table+"\n\n") {
		t.Errorf("docs/operate.md lacks this table:\n| check | what it looks at | otherwise |\n|---|---|---|\n%s", table)
	}
}
