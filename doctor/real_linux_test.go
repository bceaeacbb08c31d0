package doctor

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"stepaway/test/rig"
)

// What is judged is what the real libpam does: stacks made at random from modules whose answers are known, each tried with a
// wrong and with the right password.
func TestJudgedAsLibpamDoes(t *testing.T) {
	const stacks = 300
	c := rig.Boot(t)
	var names strings.Builder
	files := map[string]string{}
	for i := range stacks {
		r := rand.New(rand.NewPCG(7, uint64(i)))
		name := fmt.Sprintf("r%d", i)
		files[name] = randomStack(r, name, 0)
		files[name+"-a"], files[name+"-b"] = randomStack(r, name+"-a", 1), randomStack(r, name+"-b", 2)
		names.WriteString(name + "\n")
	}
	for name, text := range written {
		files[name] = text
		names.WriteString(name + "\n")
	}
	var script strings.Builder
	for name, text := range files {
		fmt.Fprintf(&script, "cat >/etc/pam.d/%s <<'END'\n%sEND\n", name, text)
	}
	c.Write("/root/stacks", script.String(), 0o600)
	c.Must("sh", "/root/stacks")
	c.Must("sh", "-c", "echo nurse:nurse | chpasswd -c SHA256 -s 1000") // a hash that takes no time
	ask, err := os.ReadFile("testdata/authenticate.py")
	if err != nil {
		t.Fatal(err)
	}
	c.Write("/root/authenticate.py", string(ask), 0o600)
	c.Write("/root/names", names.String(), 0o600)
	said := c.Must("sh", "-c", "python3 /root/authenticate.py </root/names 2>/dev/null")
	m := tree(t, map[string]string{"/etc/group": "nogroup:x:1:\n"})
	for _, name := range []string{"other", "common-auth", "common-account", "common-password", "common-session"} {
		files[name] = c.Must("cat", "/etc/pam.d/"+name) + "\n"
	}
	for name, text := range files {
		m.put(t, "/etc/pam.d/"+name, text, 0o644)
	}
	opened, unlocked, n := 0, 0, 0
	for line := range strings.Lines(said) {
		f := strings.Fields(line)
		if len(f) != 3 {
			t.Fatalf("python3 says %q", line)
		}
		n++
		wrong, right := f[1] == "True", f[2] == "True"
		_, j := m.asked(f[0], f[0])
		if wrong != (j.open != nil) || right && !j.way || !wrong && right && j.open != nil {
			t.Errorf("%s: libpam lets in: wrong %v, right %v; judged open %v, a way %v:\n%s%s%s", f[0], wrong, right, j.open, j.way,
				files[f[0]], section(files, f[0]+"-a"), section(files, f[0]+"-b"))
		}
		if wrong {
			opened++
		}
		if right && !wrong {
			unlocked++
		}
	}
	if n != stacks+len(written) || opened < stacks/20 || unlocked < stacks/20 {
		t.Errorf("of %d stacks %d open to anybody and %d to the password: too few to tell", n, opened, unlocked)
	}
	t.Logf("%d stacks, %d open to anybody, %d to the password alone", n, opened, unlocked)
}

// written are beside those made at random: what people write.
var written = map[string]string{
	"n-debian": strings.Replace(debian, "nullok", "nullok nodelay", 1), "n-permit": "auth required pam_permit.so\n", "n-deny": "auth required pam_deny.so\n",
	"n-nodeny":  "auth [success=1 default=ignore] pam_unix.so nodelay\n#auth requisite pam_deny.so\nauth required pam_permit.so\n",
	"n-preauth": "auth required pam_faillock.so preauth\nauth sufficient pam_unix.so nodelay\n",
	"n-jump":    "auth [success=5 default=ignore] pam_unix.so nodelay\nauth required pam_permit.so\n",
	"n-group":   "auth sufficient pam_succeed_if.so user ingroup nopasswdlogin\nauth required pam_unix.so nodelay\n",
	"n-missing": "@include there-is-none\nauth required pam_permit.so\n", "n-control": "auth needed pam_permit.so\n",
	"n-comment": "auth required pam_deny.so # auth\nauth sufficient \\\n  pam_permit.so\n", "n-empty": "account required pam_permit.so\n",
}

func section(files map[string]string, name string) string {
	if files[name] == "" {
		return ""
	}
	return "--- " + name + "\n" + files[name]
}

// randomStack writes a stack that may include the two that come with it.
func randomStack(r *rand.Rand, name string, deep int) string {
	base := strings.TrimSuffix(strings.TrimSuffix(name, "-a"), "-b")
	controls := []string{"required", "required", "requisite", "sufficient", "optional", "[success=1 default=ignore]", "[success=2 default=ignore]",
		"[default=1]", "[success=ok ignore=ignore default=bad]", "[success=done default=die]", "[success=die default=ignore]", "[auth_err=ignore maxtries=ignore default=ok]",
		"[success=1 default=die]", "[success=ok default=1]"}
	modules := []string{"pam_unix.so nodelay", "pam_unix.so nodelay", "pam_unix.so nodelay", "pam_permit.so", "pam_deny.so", "pam_env.so", "pam_faildelay.so delay=0"}
	var b strings.Builder
	for range 1 + r.IntN(5) {
		switch k := r.IntN(12); {
		case k == 0 && deep == 0:
			b.WriteString("@include " + base + "-a\n")
		case k == 1 && deep == 0:
			b.WriteString("auth include " + base + "-b\n")
		case k == 2 && deep < 2:
			b.WriteString("auth substack " + base + "-b\n")
		case k == 3 && deep == 0:
			b.WriteString("auth substack " + base + "-a\n")
		default:
			module := modules[r.IntN(len(modules))]
			fmt.Fprintf(&b, "auth %s %s\n", controls[r.IntN(len(controls))], module)
		}
	}
	return b.String()
}
