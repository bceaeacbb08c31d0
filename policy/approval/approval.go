// Package approval decides whether two people answer for a policy that is weaker than the one in force: its author and an
// approver, each by an SSH signature over a statement that says what it is good for.
//
// Failure rules: everything but exactly two people's good signatures is no approval. A file counts only if it is written
// byte for byte as Text and ssh-keygen write it, its signature fits, and it names this policy, version, device group and
// content of the allowed signers' file, and has not expired. Two signatures count only together, and only if nothing in
// the allowed signers' file says that one person could have made both. What that file does not tell is not known here: one
// person who has two keys under two names that no line connects is two people. Everything that is read is hostile until
// checked; the package is pure.
package approval

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// MaxAhead is how far ahead of now a statement may expire.
const MaxAhead = 30 * 24 * time.Hour

// ErrNotApproved is the error of a policy for which two people do not answer.
var ErrNotApproved = errors.New("not approved by two people")

// File is one *.approval file as it was read, at most MaxFile bytes of it that count.
type File struct {
	Name string // path, for errors
	Text []byte
}

// Wanted is what a statement must say to count.
type Wanted struct {
	Hash    string // policy.Hash of the policy asked for
	Group   string // device group that is in force here, "" for none
	Version int    // of the policy asked for
	Signers string // SHA-256 in hex of the allowed signers' file that the policy asked for names; NoSigners if it names none
	Now     time.Time
}

// Approved says who answers. The names are labels, safe to print and record; the keys are fingerprints.
type Approved struct {
	Author, Approver       string
	AuthorKey, ApproverKey string
}

// Reason says why one file does not count, and what to do.
type Reason struct{ File, Text string }

// Refusal is the error of Check, an ErrNotApproved. Its texts are safe to print.
type Refusal struct {
	Missing []Act    // of which no file counts by itself
	Others  int      // files for other policies, which are not in Files
	Files   []Reason // every other file that does not count, and each pair of which one person may have made both
}

// mostReasons stand in the text of an error.
const mostReasons = 8

func (r *Refusal) Error() string {
	var parts []string
	for _, a := range r.Missing {
		parts = append(parts, fmt.Sprintf("no file counts as %s (make one: stepaway-agent policy %s FILE)", a.role(), a))
	}
	for _, f := range r.Files[:min(len(r.Files), mostReasons)] {
		parts = append(parts, f.File+": "+f.Text)
	}
	if n := len(r.Files) - mostReasons; n > 0 {
		parts = append(parts, fmt.Sprintf("and %d more that do not count", n))
	}
	if r.Others > 0 {
		parts = append(parts, fmt.Sprintf("%d for other policies", r.Others))
	}
	return ErrNotApproved.Error() + ": " + strings.Join(parts, "; ")
}

// Unwrap makes a Refusal an ErrNotApproved.
func (r *Refusal) Unwrap() error { return ErrNotApproved }

// errOther is the verdict on a file for another policy: nothing is wrong with it.
var errOther = errors.New("for another policy")

// counted is a file that counts by itself.
type counted struct {
	name string
	Signed
}

// Check looks in files for one author's and one approver's signature that count by themselves and are those of two people,
// by the signers in force. The error is a *Refusal. The first pair in the order of files answers.
func Check(files []File, s Signers, w Wanted) (Approved, error) {
	r := &Refusal{}
	by := map[Act][]counted{}
	for _, f := range files {
		name := printable(f.Name)
		g, err := Parse(f.Text)
		if err == nil {
			err = s.judge(g, w)
		}
		switch {
		case err == nil:
			by[g.Act] = append(by[g.Act], counted{name, g})
		case errors.Is(err, errOther):
			r.Others++
		default:
			r.Files = append(r.Files, Reason{name, err.Error()})
		}
	}
	for _, a := range []Act{Sign, Approve} {
		if len(by[a]) == 0 {
			r.Missing = append(r.Missing, a)
		}
	}
	for _, author := range by[Sign] {
		for _, approver := range by[Approve] {
			err := s.twoPeople(author.Signed, approver.Signed)
			if err == nil {
				return Approved{author.By, approver.By, author.Fingerprint(), approver.Fingerprint()}, nil
			}
			r.Files = append(r.Files, Reason{approver.name, "does not count together with " + author.name + ": " + err.Error()})
		}
	}
	return Approved{}, r
}

// judge says why one signature does not count by itself.
func (s Signers) judge(g Signed, w Wanted) error {
	const again = "; have it signed again for this one"
	switch ahead := g.Expires.Sub(w.Now); {
	case g.Hash != w.Hash:
		return errOther
	case g.Version != w.Version:
		return fmt.Errorf("is for version %d of the policy, and this is version %d%s", g.Version, w.Version, again)
	case g.Group != w.Group:
		return fmt.Errorf("is for %s, and this computer is in %s%s", groupName(g.Group), groupName(w.Group), again)
	case g.Signers != w.Signers:
		return fmt.Errorf("is for allowed signers with the SHA-256 %.12s..., and the policy's file has %.12s...; "+
			"put the file in place that was signed for, or have it signed again", g.Signers, printable(w.Signers))
	case ahead <= 0:
		return fmt.Errorf("expired at %s; have it signed again", stamp(g.Expires))
	case ahead > MaxAhead:
		return fmt.Errorf("is good until %s, and more than %d days ahead is not taken; sign again with --expires 168h, or set this computer's clock",
			stamp(g.Expires), MaxAhead/(24*time.Hour))
	}
	return s.Admits(g, w.Now)
}

// twoPeople says why one person may have made both signatures.
func (s Signers) twoPeople(author, approver Signed) error {
	const other = "; somebody else has to approve"
	switch {
	case strings.EqualFold(author.By, approver.By):
		return fmt.Errorf("%s made both%s", approver.By, other)
	case author.key == approver.key:
		return fmt.Errorf("both were made with the key %s%s", approver.Fingerprint(), other)
	}
	for _, l := range s.lines {
		for _, p := range [][2]Signed{{author, approver}, {approver, author}} {
			if holder, name := p[0], p[1].By; l.key == holder.key && l.names.match(name) {
				return fmt.Errorf("line %d of the allowed signers says that the key of %s is also that of %s: one person may have made both; "+
					"where they are two, give each a line with only the own name", l.number, holder.By, name)
			}
		}
	}
	return nil
}

func groupName(g string) string {
	if g == "" {
		return "no device group"
	}
	return "device group " + printable(g)
}
