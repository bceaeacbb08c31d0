package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"stepaway/cmdline"
	"stepaway/policy"
	"stepaway/policy/approval"
	"stepaway/policy/file"
)

// approvalsDir is where an agent looks for approvals.
var approvalsDir = filepath.Join(filepath.Dir(defaultPolicy), "approvals") + string(filepath.Separator)

// signing is one call of policy sign or policy approve.
type signing struct {
	flags                                 *flag.FlagSet
	act                                   approval.Act
	path                                  string // of the policy
	key, as, out, group, signers, against string
	expires                               time.Duration
	textOnly, asJSON                      bool
}

// madeFile is what a call made, as it is printed.
type madeFile struct {
	File    string       `json:"file"`
	Act     approval.Act `json:"act"`
	By      string       `json:"by"`
	Hash    string       `json:"hash"`
	Group   string       `json:"group"`
	Version int          `json:"version"`
	Signers string       `json:"signers"`
	Expires time.Time    `json:"expires"`
	Key     string       `json:"key"`
	Notes   []string     `json:"notes"`

	*comparison
}

// comparison is what an approver is shown.
type comparison struct {
	Against string              `json:"against"`
	Weaker  []policy.Relaxation `json:"weaker"`
}

func policySign(_ context.Context, args []string) error {
	return sign(approval.Sign, args, "Signs a policy as its author, with ssh-keygen and your SSH key. Where approval.required is in force, a policy "+
		"that is weaker than the one in force waits for this and for the approval of another person.")
}

func policyApprove(_ context.Context, args []string) error {
	return sign(approval.Approve, args, "Shows what is weaker in a policy, and approves it with ssh-keygen and your SSH key: another person than its "+
		"author has to do this.")
}

func sign(act approval.Act, args []string, about string) error {
	s, err := parseSigning(act, args, about)
	if err != nil {
		return err
	}
	p, err := s.policy()
	if err != nil {
		return err
	}
	list, err := s.allowedSigners(p)
	if err != nil {
		return err
	}
	st, err := s.statement(p, list)
	if err != nil {
		return err
	}
	var shown *comparison
	var notes []string
	if act == approval.Approve {
		if shown, notes, err = s.compare(p, st.Group); err != nil {
			return err
		}
	}
	if s.textOnly {
		_, err := os.Stdout.Write(st.Text())
		return err
	}
	g, err := s.write(st)
	if err != nil {
		return err
	}
	return s.report(g, shown, append(notes, s.doubts(g, list)...))
}

func parseSigning(act approval.Act, args []string, about string) (*signing, error) {
	s := &signing{act: act}
	f := flags("policy "+string(act)+" FILE", about)
	f.StringVar(&s.key, "key", "", "sign with the SSH key in `FILE`; its .pub file stands for a key that ssh-agent has")
	f.StringVar(&s.as, "as", "", "your `NAME` in the allowed signers' file")
	f.DurationVar(&s.expires, "expires", 7*24*time.Hour, "how long it is good, at most 720h")
	f.StringVar(&s.out, "out", "", "write this `FILE` (default: the beginning of the policy's hash, -"+string(act)+".approval)")
	f.StringVar(&s.group, "group", "", "device `GROUP` that it is good for, - for computers without one (default: the policy's approval.group)")
	f.StringVar(&s.signers, "signers", "", "copy of the allowed signers' `FILE` that the policy names, where it is not here")
	f.BoolVar(&s.textOnly, "statement", false, "print what is to be signed, and sign nothing")
	f.BoolVar(&s.asJSON, "json", false, "print JSON")
	if act == approval.Approve {
		f.StringVar(&s.against, "against", "", "show what is weaker than in this policy `FILE` (default: than what is in force here)")
	}
	files, err := cmdline.Parse(f, args, "FILE")
	if err != nil {
		return nil, err
	}
	s.flags, s.path = f, files[0]
	switch {
	case s.path == "":
		return nil, cmdline.Wrong(f, "name the policy file")
	case s.as == "":
		return nil, cmdline.Wrong(f, "--as NAME is missing: who signs, as in the allowed signers' file")
	case s.expires < time.Second || s.expires > approval.MaxAhead:
		return nil, cmdline.Wrong(f, "--expires %s: from 1s to 720h is taken", s.expires)
	case s.textOnly && (s.key != "" || s.out != "" || s.asJSON):
		return nil, cmdline.Wrong(f, "--statement signs nothing, and goes without --key, --out and --json")
	case s.key == "" && !s.textOnly:
		return nil, cmdline.Wrong(f, "--key FILE is missing: your SSH key")
	}
	return s, nil
}

// policy is the policy asked for, as policy check reads it, but for the allowed signers' file, which may be elsewhere.
func (s *signing) policy() (*policy.Policy, error) {
	docs, err := file.Source{Path: s.path, Owner: reader()}.Documents()
	if err != nil {
		return nil, err
	}
	l, err := policy.Parse(docs)
	if err != nil {
		return nil, explain(err)
	}
	return &l.Policy, nil
}

// allowedSigners is the content of the file that the policy names, nil if it names none.
func (s *signing) allowedSigners(p *policy.Policy) ([]byte, error) {
	named := p.Approval.AllowedSigners
	path := s.signers
	switch {
	case named == "" && path != "":
		return nil, cmdline.Wrong(s.flags, "--signers: %s sets no approval.allowed_signers", s.path)
	case named == "":
		return nil, nil
	case path == "":
		path = named
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && s.signers == "" {
		return nil, fmt.Errorf("%s names the allowed signers %s, which are not on this computer: give a copy with --signers FILE", s.path, named)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, approval.MaxSigners+1))
	if err == nil && len(b) > approval.MaxSigners {
		err = fmt.Errorf("allowed signers %s: larger than %d KiB", path, approval.MaxSigners>>10)
	}
	return b, err
}

func (s *signing) statement(p *policy.Policy, list []byte) (approval.Statement, error) {
	st := approval.Statement{Act: s.act, By: s.as, Hash: p.Hash(), Group: p.Approval.Group, Version: p.Version,
		Signers: approval.SignersSum(list), Expires: time.Now().Add(s.expires).UTC().Truncate(time.Second)}
	switch s.group {
	case "":
	case "-":
		st.Group = ""
	default:
		st.Group = s.group
	}
	if err := st.Valid(); err != nil {
		return st, cmdline.Wrong(s.flags, "%v", err)
	}
	return st, nil
}

// compare shows an approver on standard error what becomes weaker, and gives notes on the comparison.
func (s *signing) compare(p *policy.Policy, group string) (*comparison, []string, error) {
	c := &comparison{Against: "the policy in force here"}
	was, notes, err := s.before(c)
	if err != nil {
		return nil, nil, err
	}
	c.Weaker = append([]policy.Relaxation{}, policy.Relaxes(was, p)...)
	if was.Hash() == p.Hash() {
		notes = append(notes, "this is "+c.Against+" itself; name the one that the computers have with --against FILE")
	} else if now := was.Approval.Group; now != group && was.Approval.Required {
		notes = append(notes, fmt.Sprintf("where %s rules, the device group is %q: sign with --group for that one", c.Against, now))
	}
	fmt.Fprintf(os.Stderr, "weaker than %s:\n", c.Against)
	for _, r := range c.Weaker {
		fmt.Fprintf(os.Stderr, "  %s: %s -> %s\n", r.Key, r.Old, r.New)
	}
	if len(c.Weaker) == 0 {
		fmt.Fprintln(os.Stderr, "  nothing")
	}
	return c, notes, nil
}

// before is the policy to compare with.
func (s *signing) before(c *comparison) (*policy.Policy, []string, error) {
	if s.against == "" {
		l, err := inForce(s.flags, systemPaths("", "").policy, systemPaths("", "").lastGood())
		if err != nil && !errors.Is(err, approval.ErrNotApproved) { // a policy that waits for approval is nothing wrong
			return &l.Policy, []string{"the policy in force here: " + err.Error()}, nil
		}
		return &l.Policy, nil, nil
	}
	c.Against = s.against
	other := *s
	other.path = s.against
	p, err := other.policy()
	return p, nil, err
}

// write has the statement signed and writes the approval file, which is checked as an agent checks it.
func (s *signing) write(st approval.Statement) (approval.Signed, error) {
	if s.out == "" {
		s.out = st.Hash[:12] + "-" + string(s.act) + ".approval"
	}
	if _, err := os.Lstat(s.out); err == nil {
		return approval.Signed{}, fmt.Errorf("%s is already there: remove it, or name another file with --out", s.out)
	}
	armour, err := keygen(s.key, st.Text())
	if err != nil {
		return approval.Signed{}, fmt.Errorf("sign with %s: %w", s.key, err)
	}
	text := append(st.Text(), armour...)
	g, err := approval.Parse(text)
	if err != nil {
		return g, fmt.Errorf("what ssh-keygen made with %s does not count: %w", s.key, err)
	}
	f, err := os.OpenFile(s.out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return g, err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err == nil {
		err = wrote(s.out, text)
	}
	return g, err
}

func wrote(path string, text []byte) error {
	b, err := os.ReadFile(path)
	if err == nil && !bytes.Equal(b, text) {
		err = fmt.Errorf("%s does not hold what was written", path)
	}
	return err
}

// keygen signs text. ssh-keygen asks for a passphrase, or a touch of the key, on the terminal.
func keygen(key string, text []byte) ([]byte, error) {
	program, err := exec.LookPath("ssh-keygen")
	if err != nil {
		return nil, errors.New("ssh-keygen is not here: install openssh-client, or sign elsewhere what --statement prints")
	}
	dir, err := os.MkdirTemp("", "stepaway-sign")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "statement")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "-q", "-Y", "sign", "-n", approval.Namespace, "-f", key, path)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("ssh-keygen: %w", err)
	}
	return os.ReadFile(path + ".sig")
}

// doubts says why the signature may not count where it is looked at: by the signers that the policy names, which need not
// be those in force.
func (s *signing) doubts(g approval.Signed, list []byte) []string {
	if list == nil {
		return nil
	}
	var notes []string
	signers, problems := approval.ParseSigners(list)
	for _, p := range problems {
		notes = append(notes, "allowed signers: "+p.String())
	}
	if err := signers.Admits(g, time.Now()); err != nil {
		notes = append(notes, "it does not count with the allowed signers that this policy names: "+err.Error())
	}
	return notes
}

func (s *signing) report(g approval.Signed, shown *comparison, notes []string) error {
	if s.asJSON {
		return printJSON(madeFile{s.out, g.Act, g.By, g.Hash, g.Group, g.Version, g.Signers, g.Expires, g.Fingerprint(), append([]string{}, notes...), shown})
	}
	for _, n := range notes {
		fmt.Fprintln(os.Stderr, "note:", n)
	}
	where, role, rest := "computers without a device group", "author", "stepaway-agent policy approve makes the other file, by another person"
	if g.Group != "" {
		where = "the computers of device group " + g.Group
	}
	if g.Act == approval.Approve {
		role, rest = "approver", "it counts together with the author's file, of stepaway-agent policy sign"
	}
	fmt.Printf("wrote %s\n  %s signs as the %s, with the key %s\n  policy %s, version %d\n  for %s, until %s\n"+
		"Put it into %s on each of them, as root; %s.\n",
		s.out, g.By, role, g.Fingerprint(), g.Hash, g.Version, where, g.Expires.Format(time.RFC3339), approvalsDir, rest)
	return nil
}
