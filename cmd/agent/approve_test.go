package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stepaway/policy"
	"stepaway/policy/approval"
	"stepaway/policy/file"
)

// draft is where people sign: the real program, their keys, a policy and the one before it.
type draft struct {
	t       *testing.T
	program string
	dir     string
	env     []string
}

func newDraft(t *testing.T) *draft {
	t.Helper()
	dir := t.TempDir()
	d := &draft{t: t, program: filepath.Join(dir, "stepaway-agent"), dir: dir, env: os.Environ()}
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Fatal("ssh-keygen is missing: run `make deps`")
	}
	build := exec.Command("go", "build", "-o", d.program, "stepaway/cmd/agent")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	list := "alice " + d.key("alice", "ed25519", "") + "bob " + d.key("bob", "ecdsa", "")
	d.put("allowed", list)
	d.put("old.yaml", "limit: 10m\nversion: 1\n"+d.terms())
	d.put("new.yaml", "limit: 20m\nversion: 2\n"+d.terms())
	return d
}

func (d *draft) terms() string {
	return "approval: {required: true, allowed_signers: " + d.path("allowed") + ", group: ward-3}\n"
}

func (d *draft) path(name string) string { return filepath.Join(d.dir, name) }

func (d *draft) put(name, text string) {
	d.t.Helper()
	if err := os.MkdirAll(filepath.Dir(d.path(name)), 0o755); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(d.path(name), []byte(text), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

func (d *draft) get(name string) []byte {
	d.t.Helper()
	b, err := os.ReadFile(d.path(name))
	if err != nil {
		d.t.Fatal(err)
	}
	return b
}

// key makes one and gives its public half.
func (d *draft) key(name, kind, passphrase string) string {
	d.t.Helper()
	d.must("ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", name, "-f", d.path(name))
	return string(d.get(name + ".pub"))
}

// must runs another program in the directory.
func (d *draft) must(program string, args ...string) string {
	d.t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env = d.dir, d.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		d.t.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
	return string(out)
}

// policy runs policy with its arguments.
func (d *draft) policy(args ...string) (out, said string, code int) {
	d.t.Helper()
	var o, e bytes.Buffer
	cmd := exec.Command(d.program, append([]string{"policy"}, args...)...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = d.dir, d.env, &o, &e
	if err := cmd.Run(); cmd.ProcessState == nil {
		d.t.Fatal(err)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

func (d *draft) works(args ...string) (out, said string) {
	d.t.Helper()
	out, said, code := d.policy(args...)
	if code != 0 {
		d.t.Fatalf("policy %v: exit %d\n%s%s", args, code, out, said)
	}
	return out, said
}

// judge asks as an agent of a device group does.
func (d *draft) judge(name, group string, files ...string) (approval.Approved, error) {
	d.t.Helper()
	docs, err := file.Source{Path: d.path(name), Owner: reader()}.Documents()
	if err != nil {
		d.t.Fatal(err)
	}
	l, err := policy.Parse(docs)
	if err != nil {
		d.t.Fatal(err)
	}
	list := d.get("allowed")
	s, _ := approval.ParseSigners(list)
	w := approval.Wanted{Hash: l.Policy.Hash(), Version: l.Policy.Version, Group: group, Signers: approval.SignersSum(list), Now: time.Now()}
	if l.Policy.Approval.AllowedSigners == "" {
		w.Signers = approval.SignersSum(nil)
	}
	var fs []approval.File
	for _, f := range files {
		fs = append(fs, approval.File{Name: f, Text: d.get(f)})
	}
	return approval.Check(fs, s, w)
}

func TestTwoPeopleSign(t *testing.T) {
	d := newDraft(t)
	out, said := d.works("sign", "new.yaml", "--key", d.path("alice"), "--as", "alice")
	if said != "" || !strings.Contains(out, "alice signs as the author") || !strings.Contains(out, "Put it into /etc/stepaway/approvals/") ||
		!strings.Contains(out, "the computers of device group ward-3") {
		t.Errorf("sign printed %q and said %q", out, said)
	}
	first, _ := filepath.Glob(d.path("????????????-sign.approval"))
	if len(first) != 1 {
		t.Fatalf("default name: %v", first)
	}
	sign := filepath.Base(first[0])

	out, said = d.works("approve", "new.yaml", "--key", d.path("bob"), "--as", "bob", "--against", "old.yaml", "--json", "--out", "b.approval")
	if said != "weaker than old.yaml:\n  limit: 10m -> 20m\n" {
		t.Errorf("approve said %q", said)
	}
	o := madeFile{comparison: &comparison{}}
	if err := json.Unmarshal([]byte(out), &o); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if o.File != "b.approval" || o.Act != approval.Approve || o.By != "bob" || o.Group != "ward-3" || o.Version != 2 || len(o.Notes) != 0 ||
		o.Hash[:12]+"-sign.approval" != sign || o.Against != "old.yaml" || !slices.Equal(o.Weaker, []policy.Relaxation{{Key: "limit", Old: "10m", New: "20m"}}) {
		t.Errorf("%s", out)
	}
	if left := time.Until(o.Expires); left < 6*24*time.Hour || left > 7*24*time.Hour {
		t.Errorf("expires in %v", left)
	}
	who, err := d.judge("new.yaml", "ward-3", sign, "b.approval")
	if err != nil || who.Author != "alice" || who.Approver != "bob" || who.ApproverKey != o.Key {
		t.Errorf("%+v, %v", who, err)
	}
	if _, err := d.judge("new.yaml", "ward-4", sign, "b.approval"); !errors.Is(err, approval.ErrNotApproved) {
		t.Errorf("on another group: %v", err)
	}
	if _, err := d.judge("old.yaml", "ward-3", sign, "b.approval"); !errors.Is(err, approval.ErrNotApproved) {
		t.Errorf("for another policy: %v", err)
	}
	d.must("sh", "-euc", `sed '/^-----BEGIN/,$d' "$1" >text; sed -n '/^-----BEGIN/,$p' "$1" >sig
		ssh-keygen -Y verify -n policy@stepaway -f allowed -I alice -s sig <text`, "sh", sign)
	if files, err := filepath.Glob(filepath.Join(os.TempDir(), "stepaway-sign*")); err != nil || len(files) > 0 {
		t.Errorf("left behind: %v, %v", files, err)
	}
}

// TestWhatIsCovered: drop-ins, the group and the signers' file are in the statement, as they are or as they are given.
func TestWhatIsCovered(t *testing.T) {
	d := newDraft(t)
	text := func(args ...string) string {
		t.Helper()
		out, said := d.works(append([]string{"sign", "--statement", "--as", "alice"}, args...)...)
		if said != "" || strings.Count(out, "\n") != 8 {
			t.Errorf("%v printed %q and said %q", args, out, said)
		}
		return out
	}
	line := func(text, key string) string {
		_, rest, _ := strings.Cut(text, key+": ")
		v, _, _ := strings.Cut(rest, "\n")
		return v
	}
	was := text("new.yaml")
	if line(was, "version") != "2" || line(was, "group") != "ward-3" || line(was, "signers") != approval.SignersSum(d.get("allowed")) {
		t.Errorf("%s", was)
	}
	if got := line(text("new.yaml", "--group", "-"), "group"); got != "-" {
		t.Errorf("--group -: %q", got)
	}
	if got := line(text("new.yaml", "--group", "Ward 4"), "group"); got != "Ward 4" {
		t.Errorf("--group: %q", got)
	}
	d.put("other", "# nobody\n")
	if got := line(text("new.yaml", "--signers", "other"), "signers"); got != approval.SignersSum([]byte("# nobody\n")) {
		t.Errorf("--signers: %q", got)
	}
	d.put("bare.yaml", "limit: 20m\n")
	if bare := text("bare.yaml"); line(bare, "signers") != approval.NoSigners || line(bare, "group") != "-" {
		t.Errorf("%s", bare)
	}
	d.put("policy.d/10.yaml", "limit: 21m\n")
	if line(text("new.yaml"), "hash") == line(was, "hash") {
		t.Error("a drop-in beside the policy is not covered")
	}
}

// TestSignedElsewhere: --statement, and the signature by hand.
func TestSignedElsewhere(t *testing.T) {
	d := newDraft(t)
	d.must("sh", "-euc", `"$1" policy sign new.yaml --as alice --statement >text
		ssh-keygen -q -Y sign -n policy@stepaway -f alice text
		cat text text.sig >1.approval
		"$1" policy approve new.yaml --as bob --statement --against old.yaml --expires 720h 2>weaker >text2
		ssh-keygen -q -Y sign -n policy@stepaway -f bob text2
		cat text2 text2.sig >2.approval`, "sh", d.program)
	if who, err := d.judge("new.yaml", "ward-3", "1.approval", "2.approval"); err != nil || who.Approver != "bob" {
		t.Errorf("%+v, %v", who, err)
	}
	if got := string(d.get("weaker")); got != "weaker than old.yaml:\n  limit: 10m -> 20m\n" {
		t.Errorf("approve --statement said %q", got)
	}
}

// TestKeysBehindPassphraseAndAgent: what ssh-keygen can use, we can.
func TestKeysBehindPassphraseAndAgent(t *testing.T) {
	d := newDraft(t)
	d.put("allowed", string(d.get("allowed"))+"carol "+d.key("carol", "ed25519", "open sesame"))
	d.put("ask", "#!/bin/sh\necho open sesame\n")
	if err := os.Chmod(d.path("ask"), 0o700); err != nil {
		t.Fatal(err)
	}
	env := d.env
	d.env = append(slices.Clone(env), "SSH_ASKPASS="+d.path("ask"), "SSH_ASKPASS_REQUIRE=force")
	d.works("sign", "new.yaml", "--key", d.path("carol"), "--as", "carol", "--out", "1.approval")

	socket := filepath.Join(t.TempDir(), "s")
	agent := exec.Command("ssh-agent", "-D", "-a", socket)
	if err := agent.Start(); err != nil {
		t.Fatal("ssh-agent: run `make deps`: ", err)
	}
	defer func() { _ = agent.Process.Kill(); _ = agent.Wait() }()
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(socket); err == nil {
			break
		} else if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	d.env = append(slices.Clone(env), "SSH_AUTH_SOCK="+socket)
	d.must("ssh-add", "-q", d.path("bob"))
	if err := os.Remove(d.path("bob")); err != nil {
		t.Fatal(err)
	}
	d.works("approve", "new.yaml", "--key", d.path("bob.pub"), "--as", "bob", "--against", "old.yaml", "--out", "2.approval")
	if who, err := d.judge("new.yaml", "ward-3", "1.approval", "2.approval"); err != nil || who.Author != "carol" {
		t.Errorf("%+v, %v", who, err)
	}
}

// TestNotes: what is signed all the same and may not count is said.
func TestNotes(t *testing.T) {
	d := newDraft(t)
	d.put("allowed", string(d.get("allowed"))+"dora ssh-ed25519\n")
	d.put("other.yaml", "limit: 5m\n"+strings.Replace(d.terms(), "ward-3", "ward-9", 1))
	for i, c := range []struct {
		args []string
		says []string
	}{
		{[]string{"sign", "--as", "bob"}, []string{"it does not count with the allowed signers that this policy names: line 1", "but not for bob", "allowed signers: line 3: no key"}},
		{[]string{"approve", "--as", "alice", "--against", "new.yaml"}, []string{"note: this is new.yaml itself; name the one", "  nothing\n"}},
		{[]string{"approve", "--as", "alice", "--against", "other.yaml"}, []string{`the device group is "ward-9": sign with --group`, "  limit: 5m -> 20m\n"}},
	} {
		args := append(c.args, "new.yaml", "--key", d.path("alice"), "--out", string(rune('a'+i)))
		_, said := d.works(args...)
		for _, want := range c.says {
			if !strings.Contains(said, want) {
				t.Errorf("%v said %q, want %q", c.args, said, want)
			}
		}
	}
}

func TestWhatCannotBeSigned(t *testing.T) {
	d := newDraft(t)
	d.put("there", "mine")
	d.put("far.yaml", "limit: 20m\napproval: {allowed_signers: /nonexistent/allowed}\n")
	d.put("bare.yaml", "limit: 20m\n")
	d.put("wrong.yaml", "limit: 0s\nx: 1\n")
	d.must("ssh-keygen", "-q", "-t", "rsa", "-b", "1024", "-N", "", "-f", d.path("short"))
	good := []string{"--key", d.path("alice"), "--as", "alice"}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"sign"}, 2, "FILE is missing"},
		{append([]string{"sign", ""}, good...), 2, "name the policy file"},
		{[]string{"sign", "new.yaml", "--key", "alice"}, 2, "--as NAME is missing"},
		{[]string{"sign", "new.yaml", "--as", "alice"}, 2, "--key FILE is missing"},
		{append([]string{"sign", "new.yaml", "--against", "old.yaml"}, good...), 2, "against"},
		{append([]string{"sign", "new.yaml", "--statement"}, good...), 2, "signs nothing"},
		{append([]string{"sign", "new.yaml", "--expires", "721h"}, good...), 2, "from 1s to 720h"},
		{append([]string{"sign", "new.yaml", "--expires", "-1h"}, good...), 2, "from 1s to 720h"},
		{append([]string{"sign", "new.yaml", "--group", ""}, good...), 2, "--group is empty"},
		{append([]string{"sign", "new.yaml", "--group", "a\nb"}, good...), 2, "not a name of a device group"},
		{[]string{"sign", "new.yaml", "--key", "alice", "--as", "a b"}, 2, "is not a name of at most 64"},
		{append([]string{"sign", "bare.yaml", "--signers", "allowed"}, good...), 2, "sets no approval.allowed_signers"},
		{append([]string{"sign", "far.yaml"}, good...), 1, "give a copy with --signers FILE"},
		{append([]string{"sign", "new.yaml", "--signers", "gone"}, good...), 1, "gone: no such file"},
		{append([]string{"sign", "gone.yaml"}, good...), 1, "gone.yaml: no such file"},
		{append([]string{"sign", "wrong.yaml"}, good...), 1, "2 wrong in the policy"},
		{append([]string{"approve", "new.yaml", "--against", "gone.yaml"}, good...), 1, "gone.yaml: no such file"},
		{append([]string{"sign", "new.yaml", "--out", "there"}, good...), 1, "already there"},
		{append([]string{"sign", "new.yaml", "--out", "gone/x"}, good...), 1, "gone/x"},
		{[]string{"sign", "new.yaml", "--as", "alice", "--key", "gone"}, 1, "sign with gone: ssh-keygen: exit status"},
		{[]string{"sign", "new.yaml", "--as", "alice", "--key", "new.yaml"}, 1, "sign with new.yaml: ssh-keygen: exit status"},
		{[]string{"sign", "new.yaml", "--as", "alice", "--key", "short"}, 1, "what ssh-keygen made with short does not count: an RSA key of 1024 bits"},
	} {
		out, said, code := d.policy(c.args...)
		if code != c.code || out != "" || !strings.Contains(said, c.says) {
			t.Errorf("%v: exit %d, want %d; printed %q, said %q, want %q", c.args, code, c.code, out, said, c.says)
		}
	}
	d.env = append(slices.Clone(d.env), "PATH=/nonexistent")
	if _, said, code := d.policy(append([]string{"sign", "new.yaml"}, good...)...); code != 1 || !strings.Contains(said, "install openssh-client, or sign elsewhere") {
		t.Errorf("without ssh-keygen: exit %d, %q", code, said)
	}
	if got := string(d.get("there")); got != "mine" {
		t.Errorf("a file that was there holds %q", got)
	}
	if files, _ := filepath.Glob(d.path("*.approval")); len(files) > 0 {
		t.Errorf("left behind: %v", files)
	}
}
