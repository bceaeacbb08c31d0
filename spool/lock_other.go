//go:build !linux

package spool

import (
	"errors"
	"io/fs"
	"os"
)

var errSystem = errors.New("not on this system yet")

func lockFile(string) (*os.File, error) { return nil, errSystem }

func ownedByUs(fs.FileInfo) bool { return true }

func links(fs.FileInfo) uint64 { return 1 }

func limitMemory(uint64) error { return errSystem }

// InUse reports whether a courier has the spool in dir open.
func InUse(string) bool { return false }
