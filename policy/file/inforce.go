package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"stepaway/policy"
	"stepaway/policy/approval"
	"stepaway/trusted"
)

// Errors of a policy that is right by itself and is not taken.
var (
	ErrOld        = errors.New("an older policy")
	ErrUnapproved = errors.New("weaker than the policy in force, and not approved")
)

// Layer is one source of documents.
type Layer interface {
	// Documents reads the source; fs.ErrNotExist says that it is not there and sets nothing.
	Documents() ([]policy.Document, error)
	// Watch sends after a change, until ctx ends, and then closes the channel.
	Watch(ctx context.Context) (<-chan struct{}, error)
}

// Site is everything that a policy comes from: files, and over them what else the system has.
type Site struct {
	Files Source
	Over  []Layer
}

// Documents reads all layers, or says what is wrong with the first that cannot be read. Where no layer is there at all
// the error is fs.ErrNotExist.
func (s Site) Documents() ([]policy.Document, error) {
	docs, missing := s.Files.Documents()
	if missing != nil && !errors.Is(missing, fs.ErrNotExist) {
		return nil, missing
	}
	for _, l := range s.Over {
		more, err := l.Documents()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		docs = append(docs, more...)
	}
	if len(docs) == 0 {
		return nil, missing
	}
	return docs, nil
}

// Load reads and parses all layers.
func (s Site) Load() (policy.Loaded, error) {
	g, err := s.load()
	if err != nil {
		return policy.Loaded{}, err
	}
	return g.loaded, nil
}

func (s Site) load() (*good, error) {
	docs, err := s.Documents()
	if err != nil {
		return nil, err
	}
	l, err := policy.Parse(docs)
	if err != nil {
		return nil, err
	}
	g := &good{Documents: docs, loaded: l}
	if path := l.Policy.Approval.AllowedSigners; path != "" {
		g.Signers, err = s.Files.signers(path)
		if err != nil && l.Policy.Approval.Required {
			return nil, fmt.Errorf("approval.allowed_signers: %w", err)
		}
	}
	return g, nil
}

// signers reads the allowed signers' file; nil beside an error.
func (s Source) signers(path string) ([]byte, error) {
	text, err := trusted.Read(path, s.Owner, approval.MaxSigners+1)
	if err == nil && len(text) > approval.MaxSigners {
		return nil, fmt.Errorf("%s: larger than %d KiB", path, approval.MaxSigners>>10)
	}
	return text, err
}

// Signers tells who may sign by the file that the policy names, and which of its lines do not count and why.
func (s Site) Signers(p *policy.Policy) (approval.Signers, []approval.Problem, error) {
	if p.Approval.AllowedSigners == "" {
		return approval.Signers{}, nil, nil
	}
	text, err := s.Files.signers(p.Approval.AllowedSigners)
	if err != nil {
		return approval.Signers{}, nil, err
	}
	who, wrong := approval.ParseSigners(text)
	return who, wrong, nil
}

// Watch tells of a change of any layer. The error names the layers that cannot be watched; the others are.
func (s Site) Watch(ctx context.Context) (<-chan struct{}, error) {
	changed := make(chan struct{}, 1)
	var wrong error
	for _, l := range append([]Layer{s.Files}, s.Over...) {
		one, err := l.Watch(ctx)
		if err != nil {
			wrong = errors.Join(wrong, err)
			continue
		}
		go forward(one, changed)
	}
	return changed, wrong
}

// forward ends when from is closed.
func forward(from <-chan struct{}, to chan<- struct{}) {
	for range from {
		select {
		case to <- struct{}{}:
		default:
		}
	}
}

// Verdict is what came of looking at the sources once.
type Verdict struct {
	Loaded   policy.Loaded
	Before   *policy.Policy      // the last good policy before this look, nil if there was none
	From     string              // "files", "last good", "built-in default"
	Err      error               // why the files were not taken, nil if they were
	Waiting  []policy.Relaxation // what is weaker in a policy that waits for its approval
	Also     []policy.Relaxation // what was taken and is weaker beside the settings: who may sign
	Approved *approval.Approved  // who answers for a weaker policy that was taken, nil if nobody had to
}

// InForce takes what the site has if it is right, not older than what was in force and, if weaker, approved where that is
// asked for; else the last good policy, else the strict default. It never fails, and keeps what it takes. Sources that were
// never there and a policy that was never good are the default without an error. now is the wall clock: approvals expire.
func InForce(s Site, k *Keep, now time.Time) Verdict {
	v, next := look(s, k, now)
	if next != nil && !next.same(k.last) {
		v.Err = k.save(next)
	}
	return v
}

// Look is InForce for one who only wants to know. A last good policy that he may not read is none, and is said.
func Look(s Site, k *Keep, now time.Time) Verdict {
	v, _ := look(s, k, now)
	return v
}

// look gives the verdict and, if the sources are taken, what came from them.
func look(s Site, k *Keep, now time.Time) (Verdict, *good) {
	last, keepErr := k.load()
	next, err := s.load()
	v := Verdict{Err: err}
	if keepErr == nil {
		v.Before = &last.loaded.Policy
		if err == nil {
			last.weigh(&v, s, next, now)
		}
	}
	switch {
	case v.Err == nil:
		v.Loaded, v.From = next.loaded, "files"
		return v, next
	case keepErr == nil:
		v.Loaded, v.From = last.loaded, "last good"
	default:
		v.Loaded, v.From = policy.Loaded{Policy: policy.Default()}, policy.BuiltIn
		v.Err = withoutBoth(v.Err, keepErr)
	}
	return v, nil
}

func withoutBoth(err, keepErr error) error {
	switch none := errors.Is(keepErr, fs.ErrNotExist); {
	case !none:
		return fmt.Errorf("%w; and no last good policy: %v", err, keepErr)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return err
}

func (g *good) same(last *good) bool {
	return last != nil && reflect.DeepEqual(g.Documents, last.Documents) && bytes.Equal(g.Signers, last.Signers)
}

// weigh holds next against what was in force. That has the highest version that this computer ever had, because no lower
// one is taken.
func (g *good) weigh(v *Verdict, s Site, next *good, now time.Time) {
	if is, was := next.loaded.Policy.Version, g.loaded.Policy.Version; is < was {
		v.Err = fmt.Errorf("%w: version %d, and this computer has had version %d; write a higher one", ErrOld, is, was)
		return
	}
	weaker := policy.Relaxes(&g.loaded.Policy, &next.loaded.Policy)
	if g.Signers != nil && !bytes.Equal(g.Signers, next.Signers) {
		v.Also = []policy.Relaxation{{Key: "approval.allowed_signers", Old: brief(g.Signers), New: brief(next.Signers)}}
	}
	if weaker = append(weaker, v.Also...); len(weaker) == 0 || !g.loaded.Policy.Approval.Required {
		return
	}
	who, err := g.approved(s, next, now)
	if is, was := next.loaded.Policy.Version, g.loaded.Policy.Version; err == nil && is <= was { // or an old approval were good again
		err = fmt.Errorf("version %d is in force and the policy asked for has %d; write a higher one and have that signed", was, is)
	}
	if err != nil {
		v.Also, v.Waiting = nil, weaker
		v.Err = fmt.Errorf("%w (%s): %w", ErrUnapproved, keysOf(weaker), err)
		return
	}
	v.Approved = &who
}

// approved looks for two people who signed next, by the signers and the device group that are in force.
func (g *good) approved(s Site, next *good, now time.Time) (approval.Approved, error) {
	signers, _ := approval.ParseSigners(g.Signers)
	files, err := s.Files.approvals()
	if err != nil {
		return approval.Approved{}, err
	}
	p := &next.loaded.Policy
	return approval.Check(files, signers, approval.Wanted{
		Hash: p.Hash(), Version: p.Version, Group: g.loaded.Policy.Approval.Group, Signers: approval.SignersSum(next.Signers), Now: now})
}

// approvals reads what lies in the directory beside the policy.
func (s Source) approvals() ([]approval.File, error) {
	paths, err := s.listed(s.approvalsDir(), ".approval")
	if err != nil {
		return nil, err
	}
	var out []approval.File
	for _, path := range paths {
		text, err := trusted.Read(path, s.Owner, approval.MaxFile+1)
		if err != nil {
			return nil, err
		}
		out = append(out, approval.File{Name: path, Text: text})
	}
	return out, nil
}

func (s Source) approvalsDir() string { return filepath.Join(filepath.Dir(s.Path), "approvals") }

func brief(signers []byte) string { return approval.SignersSum(signers)[:12] }

func keysOf(rs []policy.Relaxation) string {
	var keys []string
	for _, r := range rs[:min(len(rs), 10)] {
		keys = append(keys, r.Key)
	}
	return strings.Join(keys, ", ")
}
