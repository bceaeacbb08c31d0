package spool

import (
	"errors"
	"fmt"
	"os"

	bolt "go.etcd.io/bbolt"

	"stepaway/durable"
)

// settle makes durable what is seen in the file, and its name. The last commit may be seen and not be on disk: a process killed
// before its last sync left it so, or that sync failed, and then the kernel takes the page for written and no later sync writes
// it. Going on from there, the next commit would overwrite pages that the state on disk still needs. What a commit changes is
// synced before the page that makes it valid, so to write that page again is enough.
func (s *Spool) settle() error {
	id, err := lastCommit(s.db)
	if err != nil {
		return fmt.Errorf("settle the last commit: %w", err)
	}
	f, err := os.OpenFile(s.path(), os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("settle the last commit: %w", err)
	}
	page := make([]byte, s.db.Info().PageSize)
	at := int64(id%2) * int64(len(page))
	if _, err = f.ReadAt(page, at); err == nil {
		_, err = f.WriteAt(page, at)
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("settle the last commit: %w", err)
	}
	return durable.SyncDir(s.dir)
}

// lastCommit is the number of the last transaction whose result is seen in the file.
func lastCommit(db *bolt.DB) (id int, err error) {
	err = guard(func() error { return db.View(func(tx *bolt.Tx) error { id = tx.ID(); return nil }) })
	return id, err
}

// renew opens the file again and settles it, after a commit that failed and yet is seen, or may be: what bbolt has in memory may
// then be of another state than the file.
func (s *Spool) renew() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := guard(s.db.Close); err != nil {
		return fmt.Errorf("open the spool's file again: %w", err)
	}
	db, f, err := s.use(s.path())
	if err != nil {
		return fmt.Errorf("open the spool's file again: %w", err)
	}
	s.db, s.file = db, f
	return s.settle()
}
