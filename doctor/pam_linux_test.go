package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stepaway/test/rig"
)

// tree makes a root of files for a machine; what ends in "/" is a directory.
func tree(t *testing.T, files map[string]string) *Machine {
	t.Helper()
	m := &Machine{Root: t.TempDir(), Policy: "/etc/stepaway/policy.yaml", State: "/var/lib/stepaway/agent", Courier: "/var/lib/stepaway/courier",
		Runtime: "/run/stepaway", Programs: "/usr/bin", From: "files"}
	if err := os.Chmod(m.Root, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		m.put(t, name, text, 0o644)
	}
	return m
}

func (m *Machine) put(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	path := filepath.Join(m.Root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

const (
	debian = "auth [success=1 default=ignore] pam_unix.so nullok\nauth requisite pam_deny.so\nauth required pam_permit.so\n"
	// with an LDAP module and one that is asked besides, as pam-auth-update writes it
	directory = "auth [success=2 default=ignore] pam_unix.so nullok\nauth [success=1 default=ignore] pam_sss.so use_first_pass\n" +
		"auth requisite pam_deny.so\nauth required pam_permit.so\nauth optional pam_cap.so\n"
	greeter = "auth requisite pam_nologin.so\nauth sufficient pam_succeed_if.so user ingroup nopasswdlogin\n@include common-auth\n" +
		"-auth optional pam_gnome_keyring.so\n-auth optional pam_kwallet5.so\naccount required pam_permit.so\n"
	redhat = "auth required pam_env.so\nauth required pam_faildelay.so delay=2000000\nauth required pam_faillock.so preauth silent\n" +
		"auth [default=1 ignore=ignore success=ok] pam_usertype.so isregular\nauth [default=1 ignore=ignore success=ok] pam_localuser.so\n" +
		"auth sufficient pam_unix.so\nauth [default=1 ignore=ignore success=ok] pam_usertype.so isregular\n" +
		"auth sufficient pam_sss.so forward_pass\nauth required pam_faillock.so authfail\nauth required pam_deny.so\n"
)

func TestWhetherAStackAsksForAPassword(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string // below /etc/pam.d
		want  string
		how   Verdict
	}{
		{"Debian", map[string]string{"x": "@include common-auth\n", "common-auth": debian}, "password asked", OK},
		{"Debian by include, twice", map[string]string{"x": "auth include login", "login": "auth optional pam_faildelay.so\nauth requisite pam_nologin.so\n@include common-auth\nauth optional pam_group.so\n", "common-auth": debian}, "password asked", OK},
		{"a directory too", map[string]string{"x": "auth include common-auth", "common-auth": directory}, "password asked", OK},
		{"a greeter", map[string]string{"x": greeter, "common-auth": debian}, "password asked", OK},
		{"Red Hat", map[string]string{"x": "auth substack system-auth\nauth include postlogin\n", "system-auth": redhat, "postlogin": ""}, "password asked", OK},
		{"Red Hat without the last lines", map[string]string{"x": strings.Split(redhat, "auth required pam_faillock.so authfail")[0]}, "no password asked: line 3 of /etc/pam.d/x", Fail},
		{"only unix", map[string]string{"x": "auth required pam_unix.so\n"}, "password asked", OK},
		{"capitals, tabs, continued", map[string]string{"x": "# a comment\nAUTH\tRequired \\\n  /lib/security/pam_unix.so # try\n"}, "password asked", OK},
		{"two factors", map[string]string{"x": "auth required pam_u2f.so\nauth required pam_unix.so\n"}, "password asked", OK},
		{"a service without a file", map[string]string{"other": "@include common-auth", "common-auth": debian}, "those of other are used): password asked", OK},
		{"a service without auth lines", map[string]string{"x": "account required pam_permit.so", "other": "auth required pam_unix.so"}, "those of other are used): password asked", OK},
		{"faillock as its manual has it", map[string]string{"x": "auth required pam_faillock.so preauth\nauth sufficient pam_unix.so\nauth [default=die] pam_faillock.so authfail\n"}, "password asked", OK},

		{"permit", map[string]string{"x": "auth required pam_permit.so\n"}, "no password asked: line 1 of /etc/pam.d/x", Fail},
		{"permit in other", map[string]string{"other": "auth sufficient pam_permit.so\n"}, "no password asked: line 1 of /etc/pam.d/other", Fail},
		{"deny taken out", map[string]string{"x": "@include common-auth\n", "common-auth": strings.Replace(debian, "auth requisite pam_deny.so", "# auth requisite pam_deny.so", 1)}, "no password asked: line 3 of /etc/pam.d/common-auth", Fail},
		{"a jump too far", map[string]string{"x": "auth [default=1] pam_unix.so\nauth requisite pam_deny.so\nauth required pam_permit.so\n"}, "no password asked: line 3", Fail},
		{"a jump beyond the end", map[string]string{"x": "auth [success=9 default=die] pam_unix.so\n"}, "no password opens it", Fail},
		{"sufficient permit first", map[string]string{"x": "auth sufficient pam_permit.so\n@include common-auth\n", "common-auth": debian}, "no password asked: line 1 of /etc/pam.d/x", Fail},
		{"permit in a substack", map[string]string{"x": "auth substack s\nauth optional pam_env.so\n", "s": "auth sufficient pam_permit.so\nauth required pam_deny.so\n"}, "no password asked: line 1 of /etc/pam.d/s", Fail},
		{"a substack's decision does not end the stack", map[string]string{"x": "auth substack s\nauth required pam_unix.so\n", "s": "auth sufficient pam_permit.so\n"}, "password asked", OK},
		{"faillock before optional unix", map[string]string{"x": "auth required pam_faillock.so preauth\nauth sufficient pam_unix.so\n"}, "no password asked: line 1", Fail},

		{"members without a password", map[string]string{"x": greeter, "common-auth": debian, "../group": "nopasswdlogin:x:99:kiosk\n"}, "cannot tell: line 2 of /etc/pam.d/x (pam_succeed_if.so) may let in", Warn},
		{"a condition alone", map[string]string{"x": "auth sufficient pam_succeed_if.so uid >= 1000\nauth required pam_deny.so\n"}, "may let in", Warn},
		{"a module of the site's own", map[string]string{"x": "auth sufficient pam_badge.so\n@include common-auth\n", "common-auth": debian}, "cannot tell: line 1 of /etc/pam.d/x uses pam_badge.so", Warn},
		{"an unknown module that cannot let in", map[string]string{"x": "auth required pam_badge.so\nauth required pam_unix.so\n"}, "password asked", OK},
		{"a key that may be unknown", map[string]string{"x": "auth sufficient pam_u2f.so nouserok\n@include common-auth\n", "common-auth": debian}, "may let in", Warn},

		{"nothing", map[string]string{}, "nothing opens it", Fail},
		{"deny", map[string]string{"x": "auth required pam_deny.so\n"}, "no password opens it", Fail},
		{"an include that is missing", map[string]string{"x": "@include common-auth\n"}, "line 1 of /etc/pam.d/x: common-auth is missing", Fail},
		{"an unknown control", map[string]string{"x": "auth needed pam_unix.so\n"}, "unknown control", Fail},
		{"incomplete", map[string]string{"x": "auth required\n"}, "incomplete", Fail},
		{"a bracket that stays open", map[string]string{"x": "auth [success=ok pam_permit.so\n"}, "incomplete", Fail},
		{"a loop", map[string]string{"x": "auth include x\n"}, "without end", Warn},
		{"two loops", map[string]string{"x": "@include y\n@include y\n", "y": "@include x\n@include x\nauth required pam_unix.so\n"}, "without end", Warn},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := tree(t, map[string]string{"/etc/group": "root:x:0:\nnopasswdlogin:x:99:\n", "/etc/passwd": "root:x:0:0::/root:/bin/sh\n"})
			for name, text := range c.files {
				m.put(t, "/etc/pam.d/"+name, text, 0o644)
			}
			if got, _ := m.asked("x", "the locker"); !strings.Contains(got.Saw, c.want) || got.Verdict != c.how {
				t.Errorf("%s: %s, want %s: %s", got.Verdict, got.Saw, c.how, c.want)
			}
		})
	}
}

func TestAStackThatOthersCanChangeIsNotBelieved(t *testing.T) {
	m := tree(t, map[string]string{"/etc/pam.d/x": "@include common-auth\n"})
	m.put(t, "/etc/pam.d/common-auth", debian, 0o646)
	if f, _ := m.asked("x", "x"); f.Verdict != Fail || !strings.Contains(f.Saw, "/etc/pam.d/common-auth can be changed by others") {
		t.Errorf("%+v", f)
	}
	if err := os.Chmod(filepath.Join(m.Root, "etc/pam.d/common-auth"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Join(m.Root, "etc/pam.d"), 65534, -1); err != nil {
		t.Fatal(err)
	}
	if f, _ := m.asked("x", "x"); f.Verdict != Fail || !strings.Contains(f.Saw, "/etc/pam.d can be changed by others") {
		t.Errorf("%+v", f)
	}
}

// The stacks of a real Debian, as its packages bring them.
func TestDebiansOwnStacksAskForAPassword(t *testing.T) {
	m := &Machine{Root: rig.Root(t)}
	for _, service := range []string{"i3lock", "login", "sshd", "common-auth", "xsecurelock"} {
		f, j := m.asked(service, service)
		if f.Verdict != OK || !j.way || j.open != nil || j.maybe != nil || j.nullok == nil {
			t.Errorf("%s: %+v %+v", service, f, j)
		}
	}
}

// Whatever a file holds, judging it ends, and never lets in where no module could.
func FuzzStacks(f *testing.F) {
	for _, s := range []string{debian, directory, greeter, redhat, "auth [", "auth include x", "auth substack x\nauth [success=3 default=reset] a", "@include", "-auth - -\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		read := pamReader(func(path string) (string, error) {
			if path == "/etc/pam.d/x" {
				return text, nil
			}
			return "", fmt.Errorf("%s: %w", path, os.ErrNotExist)
		})
		rules, _, err := read.stack("x")
		if err != nil {
			return
		}
		judge(rules, func(string) bool { return false })
		for i := range rules {
			rules[i].module, rules[i].args = "pam_deny.so", nil
		}
		if j := judge(rules, nil); j.open != nil || j.maybe != nil || j.way {
			t.Errorf("%q opens though every module refuses", text)
		}
	})
}
