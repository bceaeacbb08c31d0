package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// giveAway gives what root has written under dir to the account that owns the directory dir is in.
func giveAway(dir string) error {
	info, err := os.Stat(filepath.Dir(dir))
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || owner.Uid == 0 {
		return nil
	}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(owner.Uid), int(owner.Gid))
	})
}
