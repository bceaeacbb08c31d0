// Package file reads policy files as they stand on disk, and keeps the last good policy.
//
// Failure rules: a file is taken only if the open descriptor is a regular file with one link, owned by root
// (or by the owner that the caller allows), writable by nobody else, reached without a symbolic link, in
// directories that nobody else may write. A policy that is wrong, unsafe or gone leaves the last good one in
// force; without one the strict default rules. Nothing here ever answers "no limit".
package file

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"stepaway/policy"
)

// ErrUnsafe is the error of a file that somebody else could have written.
var ErrUnsafe = errors.New("not trusted")

// Source is a policy file, with the directory policy.d beside it, and who besides root may own them.
type Source struct {
	Path  string
	Owner uint32
}

// Documents reads the file and then policy.d/*.yaml in the order of their names. A missing main file with no
// policy.d is fs.ErrNotExist.
func (s Source) Documents() ([]policy.Document, error) {
	var docs []policy.Document
	text, err := readTrusted(s.Path, s.Owner, policy.MaxFile+1)
	switch {
	case err == nil:
		docs = append(docs, policy.Document{Name: s.Path, Text: text})
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	more, globErr := s.dropIns()
	if globErr != nil {
		return nil, globErr
	}
	for _, path := range more {
		text, err := readTrusted(path, s.Owner, policy.MaxFile+1)
		if err != nil {
			return nil, err
		}
		docs = append(docs, policy.Document{Name: path, Text: text})
	}
	if len(docs) == 0 {
		return nil, err
	}
	return docs, nil
}

func (s Source) dropIns() ([]string, error) {
	dir := s.dropInDir()
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	var out []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".yaml") && !strings.HasPrefix(e.Name(), ".") {
			out = append(out, filepath.Join(dir, e.Name()))
		}
	}
	sort.Strings(out)
	return out, nil
}

func (s Source) dropInDir() string { return filepath.Join(filepath.Dir(s.Path), "policy.d") }

// Load reads and parses the source.
func (s Source) Load() (policy.Loaded, []policy.Document, error) {
	docs, err := s.Documents()
	if err != nil {
		return policy.Loaded{}, nil, err
	}
	l, err := policy.Parse(docs)
	return l, docs, err
}

// Keep holds the last good policy in a file that only its owner reads.
type Keep struct{ Path string }

// Save writes the documents of a policy that was taken.
func (k Keep) Save(docs []policy.Document) error {
	b, err := json.Marshal(docs)
	if err != nil {
		return fmt.Errorf("keep policy: %w", err)
	}
	tmp := k.Path + ".new"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return fmt.Errorf("keep policy: %w", err)
	}
	if err := os.Rename(tmp, k.Path); err != nil {
		return fmt.Errorf("keep policy: %w", err)
	}
	return nil
}

// Load gives the last good policy, or fs.ErrNotExist where there is none.
func (k Keep) Load(owner uint32) (policy.Loaded, error) {
	b, err := readTrusted(k.Path, owner, 16*policy.MaxFile)
	if err != nil {
		return policy.Loaded{}, err
	}
	var docs []policy.Document
	if err := json.Unmarshal(b, &docs); err != nil {
		return policy.Loaded{}, fmt.Errorf("last good policy %s: %w", k.Path, err)
	}
	return policy.Parse(docs)
}

// Verdict is what came of looking at the source once.
type Verdict struct {
	Loaded policy.Loaded
	Before *policy.Policy // the last good policy before this look, nil if there was none
	From   string         // "files", "last good", "built-in default"
	Err    error          // why the files were not taken, nil if they were
}

// InForce takes the source if it is right, else the last good policy, else the strict default. It never
// fails. A source that was never there and a policy that was never good are the default without an error.
func InForce(s Source, k Keep) Verdict {
	l, docs, err := s.Load()
	last, keepErr := k.Load(s.Owner)
	var before *policy.Policy
	if keepErr == nil {
		before = &last.Policy
	}
	if err == nil {
		return Verdict{Loaded: l, Before: before, From: "files", Err: k.Save(docs)}
	}
	if keepErr == nil {
		return Verdict{Loaded: last, Before: before, From: "last good", Err: err}
	}
	if errors.Is(err, fs.ErrNotExist) && errors.Is(keepErr, fs.ErrNotExist) {
		err = nil
	}
	return Verdict{Loaded: policy.Loaded{Policy: policy.Default()}, From: policy.BuiltIn, Err: err}
}
