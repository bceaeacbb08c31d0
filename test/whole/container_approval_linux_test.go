package whole

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/clock"
	"stepaway/test/rig"
)

// people sign policies on a machine of their own.
type people struct {
	t    *testing.T
	dir  string
	list string // the allowed signers' file
}

func signers(t *testing.T, names ...string) *people {
	p := &people{t: t, dir: t.TempDir()}
	p.list = filepath.Join(p.dir, "allowed_signers")
	var lines []byte
	for _, n := range names {
		key := filepath.Join(p.dir, n)
		if out, err := exec.Command(rig.Tool(t, "ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", n, "-f", key).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v: %s", err, out)
		}
		pub, err := os.ReadFile(key + ".pub")
		if err != nil {
			t.Fatal(err)
		}
		lines = append(append(append(lines, n...), ' '), pub...)
	}
	if err := os.WriteFile(p.list, lines, 0o644); err != nil {
		t.Fatal(err)
	}
	return p
}

// write gives a person's signature under a policy, by our own command, as the content of an approval file.
func (p *people) write(verb, name, policy string, more ...string) string {
	p.t.Helper()
	text, out := filepath.Join(p.dir, "policy.yaml"), filepath.Join(p.dir, verb+".approval")
	if err := os.WriteFile(text, []byte(policy), 0o644); err != nil {
		p.t.Fatal(err)
	}
	_ = os.Remove(out)
	args := append([]string{"policy", verb, text, "--key", filepath.Join(p.dir, name), "--as", name, "--signers", p.list, "--out", out}, more...)
	if said, err := exec.Command(filepath.Join(programs(p.t), "stepaway-agent"), args...).CombinedOutput(); err != nil {
		p.t.Fatalf("policy %s: %v: %s", verb, err, said)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b)
}

// Where approval is required a weaker policy waits for two people, and an older one is never taken.
func TestMachinePolicyNeedsTwoPeople(t *testing.T) {
	const terms = "\napproval: {required: true, allowed_signers: /etc/stepaway/allowed_signers, group: ward-3}\n"
	p := signers(t, "alice", "bob")
	list, err := os.ReadFile(p.list)
	if err != nil {
		t.Fatal(err)
	}
	m := install(t, "limit: 10m\nversion: 1\n")
	m.Write("/etc/stepaway/allowed_signers", string(list), 0o644)
	m.rule("limit: 10m\nversion: 1" + terms)
	id := m.desktop(rig.ObeysLock)
	m.patiently("the session", func() bool { _, there := m.guarded(id); return there })
	limit := func(want time.Duration) {
		t.Helper()
		if st, _ := m.guarded(id); st.State.LimitMS != want.Milliseconds() {
			t.Errorf("the limit is %d ms, want %v", st.State.LimitMS, want)
		}
	}
	const weaker = "limit: 20m\nversion: 2" + terms
	refused := func(what string, do func()) {
		t.Helper()
		since := clock.Now()
		do()
		m.await(since, audit.PolicyRejected, "code=unapproved", "key=limit", "severity=alert")
		limit(10 * time.Minute)
		m.none(since, audit.PolicyRelaxed)
		m.step(what)
	}
	approval := func(name, text string) { m.Write("/etc/stepaway/approvals/"+name+".approval", text, 0o644) }

	refused("nobody signed", func() { m.Write(policyAt, weaker, 0o644) })
	m.Must("install", "-d", "-m", "755", "/etc/stepaway/approvals")
	refused("the author alone", func() { approval("1", p.write("sign", "alice", weaker)) })
	refused("one person twice", func() { approval("2", p.write("approve", "alice", weaker)) })
	refused("for another group of devices", func() { approval("2", p.write("approve", "bob", weaker, "--group", "ward-4")) })
	refused("for another policy", func() { approval("2", p.write("approve", "bob", "limit: 19m\nversion: 2"+terms)) })

	since := clock.Now()
	approval("2", p.write("approve", "bob", weaker))
	m.await(since, audit.PolicyApproved, "old=alice", "new=bob")
	m.await(since, audit.PolicyRelaxed, "key=limit", "old=10m", "new=20m", "severity=alert")
	m.await(since, audit.PolicyLoaded, "key=version", "new=2")
	limit(20 * time.Minute)
	m.step("two people")

	since = clock.Now()
	m.Write(policyAt, "limit: 5m\nversion: 1"+terms, 0o644)
	m.await(since, audit.PolicyRejected, "code=old")
	limit(20 * time.Minute)

	since = m.rule("limit: 5m\nversion: 3" + terms) // stricter: nobody has to sign
	m.await(since, audit.PolicyLoaded, "new=3")
	limit(5 * time.Minute)

	since = clock.Now()
	m.Write("/etc/stepaway/allowed_signers", "mallory ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPmXYxfBnGaLOcnMPBrUfK4MfZgGlBIuM8ZzFIbHXbqe\n", 0o644)
	m.Write(policyAt, "limit: 5m\nversion: 4"+terms, 0o644)
	m.await(since, audit.PolicyRejected, "code=unapproved", "key=approval.allowed_signers")
	m.delivered()
	m.verified()
}
