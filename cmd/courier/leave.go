package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"stepaway/audit"
	"stepaway/spool"
)

// note stands beside records that were kept.
const note = "KEPT RECORDS.txt"

// leave removes what an installation has gathered in data, the directory of its policy and state. Where a collector may not have all
// records their spool is kept, with a note that says so, and kept is where it is. Both services must have ended.
func leave(data string) (kept string, err error) {
	s := state(filepath.Join(data, "courier"))
	if s.delivered() {
		return "", removing(os.RemoveAll(data))
	}
	for _, within := range []struct{ dir, but string }{{data, "courier"}, {string(s), "spool"}} {
		err = errors.Join(err, removeBut(within.dir, within.but))
	}
	text := "Stepaway was removed from this computer. Records in\r\n" + s.spool() + "\r\nare not known to be at a collector. Delete them when you need them no more.\r\n"
	return s.spool(), errors.Join(removing(err), os.WriteFile(filepath.Join(data, note), []byte(text), 0o644))
}

// delivered says that no record is here alone. What cannot be told is not delivered.
func (s state) delivered() bool {
	list, err := os.ReadDir(s.spool())
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(list) == 0 {
		return true
	}
	waiting := true
	_, err = s.snapshot(func(path string) error {
		st, err := spool.Read(path, func(audit.Record) error { return nil })
		waiting = max(st.Acked, st.Freed) < st.Head
		return err
	})
	return err == nil && !waiting
}

// removeBut removes everything in dir but one.
func removeBut(dir, but string) error {
	list, err := os.ReadDir(dir)
	for _, e := range list {
		if e.Name() != but {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

func removing(err error) error {
	if err != nil {
		return fmt.Errorf("remove what was gathered: %w", err)
	}
	return nil
}
