//go:build unix

package durable

import (
	"errors"
	"os"
)

// SyncDir makes what was created, renamed or removed in a directory outlive a loss of power.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func rename(from, to string) error { return os.Rename(from, to) }
