package spool

import (
	"errors"
	"os"

	bolt "go.etcd.io/bbolt"
)

// swap puts the file at path in the place of the spool's. Windows replaces no file that is open, so both are closed
// meanwhile. A spool that cannot be opened again then is tried again with every Append.
func (s *Spool) swap(path string, db *bolt.DB, _ *os.File) error {
	if err := db.Close(); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err := guard(s.db.Close)
	if err == nil {
		err = os.Rename(path, s.path())
	}
	if err != nil { // somebody reads the old one, as a copy is made
		err = errors.Join(err, os.Remove(path))
	}
	s.doubt = true
	now, f, again := s.use(s.path())
	if again == nil {
		s.db, s.file, s.doubt = now, f, false
	}
	return errors.Join(err, again)
}
