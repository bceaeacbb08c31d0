package spool

import (
	"errors"
	"os"

	bolt "go.etcd.io/bbolt"

	"stepaway/durable"
)

// swap puts the open file at path in the place of the spool's.
func (s *Spool) swap(path string, db *bolt.DB, f *os.File) error {
	if err := os.Rename(path, s.path()); err != nil {
		return errors.Join(err, db.Close(), os.Remove(path))
	}
	s.mu.Lock()
	old := s.db
	s.db, s.file = db, f
	s.mu.Unlock()
	err := durable.SyncDir(s.dir)
	s.doubt = err != nil
	return errors.Join(err, old.Close())
}
