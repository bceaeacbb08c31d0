package file

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stepaway/policy"
	"stepaway/policy/approval"
)

// signed is a place whose policy asks for two people, with their keys.
type signed struct {
	place
	t    *testing.T
	list string
}

// terms are what every policy here says of approval.
func (s signed) terms(group string) string {
	return fmt.Sprintf("approval: {required: true, allowed_signers: %s, group: %s}\n", s.list, group)
}

func signedPlace(t *testing.T) signed {
	s := signed{place: aPlace(t), t: t}
	s.list = s.dir + "/etc/allowed_signers"
	var list bytes.Buffer
	for _, name := range []string{"alice", "bob", "carol"} {
		key := filepath.Join(s.dir, name)
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v: %s; run `make deps`", err, out)
		}
		pub, err := os.ReadFile(key + ".pub")
		must(t, err)
		if name != "carol" {
			fmt.Fprintf(&list, "%s %s", name, pub)
		}
	}
	put(t, s.list, list.String())
	s.put(t, "version: 1\nlimit: 10m\n"+s.terms("g"))
	if v := s.look(); v.Err != nil {
		t.Fatal(v.Err)
	}
	return s
}

// sign lets a person sign the policy that is asked for now, as OpenSSH does it, changed by change.
func (s signed) sign(act approval.Act, name string, change func(*approval.Statement)) {
	s.t.Helper()
	l, err := Site{Files: s.s}.Load()
	must(s.t, err)
	list, err := os.ReadFile(s.list)
	must(s.t, err)
	st := approval.Statement{Act: act, By: name, Hash: l.Policy.Hash(), Group: "g", Version: l.Policy.Version,
		Signers: approval.SignersSum(list), Expires: noon.Add(24 * time.Hour)}
	if change != nil {
		change(&st)
	}
	text := filepath.Join(s.dir, "statement")
	_ = os.Remove(text + ".sig")
	must(s.t, os.WriteFile(text, st.Text(), 0o600))
	if out, err := exec.Command("ssh-keygen", "-Y", "sign", "-n", approval.Namespace, "-f", filepath.Join(s.dir, name), text).CombinedOutput(); err != nil {
		s.t.Fatalf("ssh-keygen: %v: %s", err, out)
	}
	sig, err := os.ReadFile(text + ".sig")
	must(s.t, err)
	put(s.t, fmt.Sprintf("%s/etc/approvals/%s.approval", s.dir, act), string(st.Text())+string(sig))
}

func (s signed) both(change func(*approval.Statement)) {
	s.sign("sign", "alice", change)
	s.sign("approve", "bob", change)
}

// look is at noon.
func (s signed) look() Verdict {
	k := s.k
	return InForce(Site{Files: s.s}, &k, noon)
}

// TestWeakerWaitsForTwoPeople lists what is no approval of a longer limit, and what is.
func TestWeakerWaitsForTwoPeople(t *testing.T) {
	for _, c := range []struct {
		what string
		do   func(s signed)
		says string // "": taken
	}{
		{"nobody signed", func(signed) {}, "limit"},
		{"two people", func(s signed) { s.both(nil) }, ""},
		{"the author alone", func(s signed) { s.sign("sign", "alice", nil) }, "approve"},
		{"the approver alone", func(s signed) { s.sign("approve", "bob", nil) }, "sign"},
		{"one person", func(s signed) { s.sign("sign", "alice", nil); s.sign("approve", "alice", nil) }, "alice"},
		{"a stranger", func(s signed) { s.sign("sign", "alice", nil); s.sign("approve", "carol", nil) }, "carol"},
		{"another group", func(s signed) { s.both(func(st *approval.Statement) { st.Group = "h" }) }, "group"},
		{"another version", func(s signed) { s.both(func(st *approval.Statement) { st.Version = 3 }) }, "version"},
		{"other signers", func(s signed) { s.both(func(st *approval.Statement) { st.Signers = strings.Repeat("a", 64) }) }, "signers"},
		{"expired", func(s signed) { s.both(func(st *approval.Statement) { st.Expires = noon.Add(-time.Second) }) }, "expired"},
		{"edited afterwards", func(s signed) { s.both(nil); s.put(t, "version: 2\nlimit: 21m\n"+s.terms("g")) }, "limit"},
		{"no higher version", func(s signed) { s.put(t, "version: 1\nlimit: 20m\n"+s.terms("g")); s.both(nil) }, "write a higher one"},
		{"group of the new policy", func(s signed) {
			s.put(t, "version: 2\nlimit: 20m\n"+s.terms("h"))
			s.both(func(st *approval.Statement) { st.Group = "h" })
		}, "group"},
		{"signers of the new policy", func(s signed) {
			pub, _ := os.ReadFile(s.dir + "/carol.pub")
			put(t, s.list, "carol "+string(pub))
			s.sign("sign", "alice", nil)
			s.sign("approve", "carol", nil)
		}, "carol"},
		{"approvals that others can write", func(s signed) { s.both(nil); must(t, os.Chmod(s.dir+"/etc/approvals", 0o777)) }, "chmod"},
		{"not required any longer", func(s signed) { s.put(t, "version: 2\nlimit: 10m\n") }, "approval.required"},
	} {
		s := signedPlace(t)
		s.put(t, "version: 2\nlimit: 20m\n"+s.terms("g"))
		c.do(s)
		v := s.look()
		if c.says == "" {
			if v.Err != nil || v.Approved == nil || v.Approved.Author != "alice" || v.Approved.Approver != "bob" || v.Loaded.Policy.Limit != 20*m {
				t.Errorf("%s: %+v", c.what, v)
			}
			continue
		}
		if !errors.Is(v.Err, ErrUnapproved) || !strings.Contains(v.Err.Error(), c.says) || v.Loaded.Policy.Limit != 10*m || len(v.Waiting) == 0 || v.Approved != nil {
			t.Errorf("%s: from %s, limit %s, error %v", c.what, v.From, v.Loaded.Policy.Limit, v.Err)
		}
	}
}

// TestAnApprovalIsGoodOnce: once something stricter with a higher version was in force, it is void.
func TestAnApprovalIsGoodOnce(t *testing.T) {
	s := signedPlace(t)
	weaker := "version: 2\nlimit: 20m\n" + s.terms("g")
	s.put(t, weaker)
	s.both(nil)
	if v := s.look(); v.Approved == nil {
		t.Fatal(v.Err)
	}
	if v := s.look(); v.Err != nil || v.Approved != nil {
		t.Errorf("the same policy again: %+v", v)
	}
	s.put(t, "version: 3\nlimit: 5m\n"+s.terms("g"))
	if v := s.look(); v.Err != nil || v.Approved != nil || v.Loaded.Policy.Limit != 5*m {
		t.Errorf("a stricter policy: %+v", v)
	}
	s.put(t, weaker)
	if v := s.look(); !errors.Is(v.Err, ErrOld) {
		t.Errorf("the approved policy once more: %+v", v)
	}
}

// TestSignersAreThoseInForce: another list of signers is weaker, whatever else the policy says, and it is said.
func TestSignersAreThoseInForce(t *testing.T) {
	s := signedPlace(t)
	pub, err := os.ReadFile(s.dir + "/carol.pub")
	must(t, err)
	put(t, s.list, "carol "+string(pub))
	v := s.look()
	if !errors.Is(v.Err, ErrUnapproved) || len(v.Waiting) != 1 || v.Waiting[0].Key != "approval.allowed_signers" {
		t.Errorf("%+v", v)
	}
	s.put(t, "version: 2\nlimit: 10m\n"+s.terms("g"))
	s.both(nil)
	v = s.look()
	if v.Err != nil || v.Approved == nil || len(v.Also) != 1 || v.Also[0].Key != "approval.allowed_signers" {
		t.Errorf("approved: %+v", v)
	}
	must(t, os.Remove(s.list))
	if v := s.look(); v.Err == nil || !strings.Contains(v.Err.Error(), "approval.allowed_signers") || !v.Loaded.Policy.Approval.Required {
		t.Errorf("without signers: %+v", v)
	}
}

// TestWithoutApprovalWeakerIsTakenAndSaid also where only the signers changed.
func TestWithoutApprovalWeakerIsTakenAndSaid(t *testing.T) {
	p := aPlace(t)
	list := p.dir + "/etc/allowed_signers"
	put(t, list, "# nobody\n")
	p.put(t, "approval: {allowed_signers: "+list+"}\n")
	p.want(t, "first", "files", 15*m, 0, "")
	put(t, list, "# somebody else\n")
	if v := p.look(); v.Err != nil || len(v.Also) != 1 {
		t.Errorf("%+v", v)
	}
	if v := p.look(); v.Err != nil || v.Also != nil {
		t.Errorf("said again: %+v", v)
	}
	p.put(t, "limit: 1h\n")
	v := p.look()
	if v.Err != nil || v.Loaded.Policy.Limit != time.Hour || len(policy.Relaxes(v.Before, &v.Loaded.Policy)) != 2 {
		t.Errorf("%+v", v)
	}
}
