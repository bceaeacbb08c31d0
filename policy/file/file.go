// Package file reads policy files as they stand on disk, decides which policy is in force, and keeps the last good one.
//
// Failure rules: a file is taken only if the open descriptor is a regular file with one link, owned by root
// (or by the owner that the caller allows), writable by nobody else, reached without a symbolic link, in
// directories that nobody else may write. A policy that is wrong, unsafe or gone leaves the last good one in
// force; without one the strict default rules. So does one that is older than what was in force, and, where the site asks
// for two people, one that is weaker and that two people did not sign. Nothing here ever answers "no limit".
package file

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
	text, err := trusted.Read(s.Path, s.Owner, policy.MaxFile+1)
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
		text, err := trusted.Read(path, s.Owner, policy.MaxFile+1)
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

func (s Source) dropIns() ([]string, error) { return s.listed(s.dropInDir(), ".yaml") }

// listed lists the files of a directory that end so, in the order of their names; none where it is not there.
func (s Source) listed(dir, ending string) ([]string, error) {
	err := trusted.Dirs(dir, s.Owner) // a stranger who may write it could take files away
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
		if strings.HasSuffix(e.Name(), ending) && !strings.HasPrefix(e.Name(), ".") {
			out = append(out, filepath.Join(dir, e.Name()))
		}
	}
	if len(out) > maxFiles {
		return nil, fmt.Errorf("%s: %d files, at most %d", dir, len(out), maxFiles)
	}
	sort.Strings(out)
	return out, nil
}

func (s Source) dropInDir() string { return filepath.Join(filepath.Dir(s.Path), "policy.d") }
