// Package durable replaces small files.
//
// Failure rules: after a crash or a loss of power the file is the old one or the new one, whole. A link that somebody put at
// the name for the new one is removed, not followed. What fails leaves the old file as it was.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Write replaces the file with one of exactly this mode, whatever mask the process has. Its directory must be there, and be
// nobody else's to write. Two writers of one path at a time are an error for one of them.
func Write(path string, b []byte, mode fs.FileMode) error {
	next := path + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write %s: %w", path, err)
	}
	err := writeNew(next, b, mode)
	if err == nil {
		err = rename(next, path)
	}
	if err == nil {
		err = SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func writeNew(path string, b []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
}
