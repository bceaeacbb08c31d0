package durable

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/windows"
)

// SyncDir does nothing: NTFS logs its directories, and no descriptor of one can be flushed.
func SyncDir(string) error { return nil }

// renameTries bounds how often a file is tried that somebody reads, which may not be replaced meanwhile.
const renameTries = 40

func rename(from, to string) error {
	for n := 1; ; n++ {
		err := os.Rename(from, to)
		read := errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_ACCESS_DENIED)
		if !read || n == renameTries {
			return err
		}
		time.Sleep(25 * time.Millisecond)
	}
}
