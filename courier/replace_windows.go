package courier

import (
	"errors"
	"io/fs"
	"os"
)

// replaceDir puts next in the place of dir. Windows cannot do so at one moment: stopped in between, the device has to enroll again.
func replaceDir(next, dir string) error {
	old := dir + ".old"
	if err := os.RemoveAll(old); err != nil {
		return err
	}
	if err := os.Rename(dir, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(next, dir); err != nil {
		return errors.Join(err, os.Rename(old, dir))
	}
	return os.RemoveAll(old)
}
