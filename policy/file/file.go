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
	"reflect"
	"sort"
	"strings"

	"stepaway/policy"
	"stepaway/trusted"
)

// ErrUnsafe is the error of a file that somebody else could have written.
var ErrUnsafe = trusted.ErrUnsafe

// Limits on what is read at one look, far above what a site needs.
const (
	maxFiles = 256
	maxBytes = 4 * policy.MaxFile
)

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
	more, listErr := s.dropIns()
	if listErr != nil {
		return nil, listErr
	}
	size := len(text)
	for _, path := range more {
		text, err := readTrusted(path, s.Owner, policy.MaxFile+1)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s went while it was being read", path) // not a policy that is missing
		}
		if err != nil {
			return nil, err
		}
		if size += len(text); size > maxBytes {
			return nil, fmt.Errorf("%s: more than %d KiB of policy in all", path, maxBytes>>10)
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
	err := trustedDirs(dir, s.Owner) // a stranger who may write it could take files away
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	var out []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".yaml") && !strings.HasPrefix(e.Name(), ".") {
			out = append(out, filepath.Join(dir, e.Name()))
		}
	}
	if len(out) > maxFiles {
		return nil, fmt.Errorf("%s: %d policy files, at most %d", dir, len(out), maxFiles)
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

// Save writes the documents of a policy that was taken. After a loss of power the file is whole: the old or
// the new one.
func (k Keep) Save(docs []policy.Document) error {
	b, err := json.Marshal(docs)
	if err != nil {
		return fmt.Errorf("keep policy: %w", err)
	}
	tmp := k.Path + ".new"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("keep policy: %w", err)
	}
	if err := writeNew(tmp, b); err != nil {
		return fmt.Errorf("keep policy: %w", err)
	}
	if err := os.Rename(tmp, k.Path); err != nil {
		return fmt.Errorf("keep policy: %w", err)
	}
	return nil
}

func writeNew(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Load gives the last good policy, or fs.ErrNotExist where there is none.
func (k Keep) Load(owner uint32) (policy.Loaded, error) {
	l, _, err := k.load(owner)
	return l, err
}

func (k Keep) load(owner uint32) (policy.Loaded, []policy.Document, error) {
	b, err := readTrusted(k.Path, owner, 2*maxBytes)
	if err != nil {
		return policy.Loaded{}, nil, err
	}
	var docs []policy.Document
	if err := json.Unmarshal(b, &docs); err != nil {
		return policy.Loaded{}, nil, fmt.Errorf("last good policy %s: %w", k.Path, err)
	}
	if len(docs) == 0 {
		return policy.Loaded{}, nil, fmt.Errorf("last good policy %s: empty", k.Path)
	}
	l, err := policy.Parse(docs)
	return l, docs, err
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
	last, lastDocs, keepErr := k.load(s.Owner)
	var before *policy.Policy
	if keepErr == nil {
		before = &last.Policy
	}
	if err == nil {
		if !reflect.DeepEqual(docs, lastDocs) {
			err = k.Save(docs)
		}
		return Verdict{Loaded: l, Before: before, From: "files", Err: err}
	}
	if keepErr == nil {
		return Verdict{Loaded: last, Before: before, From: "last good", Err: err}
	}
	switch none := errors.Is(keepErr, fs.ErrNotExist); {
	case none && errors.Is(err, fs.ErrNotExist):
		err = nil
	case !none:
		err = fmt.Errorf("%w; and no last good policy: %v", err, keepErr)
	}
	return Verdict{Loaded: policy.Loaded{Policy: policy.Default()}, From: policy.BuiltIn, Err: err}
}
