package spool

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"stepaway/durable"
)

// suspect gives a word for what is wrong with a file before it is opened, or nothing.
func suspect(info fs.FileInfo) string {
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return "symlink"
	case !info.Mode().IsRegular():
		return "not-a-file"
	case !ownedByUs(info):
		return "owner"
	case links(info) != 1:
		return "links"
	case othersMayWrite(info):
		return "mode"
	}
	return ""
}

// setAside moves a file out of the way, under a name that was not used before.
func setAside(path string) (string, error) {
	name := path + ".bad-" + time.Now().UTC().Format("20060102T150405.000000000Z")
	if err := os.Rename(path, name); err != nil {
		return "", fmt.Errorf("set the bad file aside: %w", err)
	}
	return name, durable.SyncDir(filepath.Dir(path))
}
