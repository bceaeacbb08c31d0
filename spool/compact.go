package spool

import (
	"errors"
	"fmt"
	"os"

	bolt "go.etcd.io/bbolt"
)

// compact writes a drained file that has grown large into a new one, since bbolt never gives space back.
// Whatever fails leaves the old file in use.
func (s *Spool) compact() error {
	st := s.State()
	if st.Freed != st.Head || st.Bytes <= s.o.CompactOver {
		return nil
	}
	return s.send(&job{alone: s.exchange})
}

// exchange runs on the writing goroutine, outside any transaction.
func (s *Spool) exchange() error {
	path := s.path() + ".new"
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("compact: %w", err)
	}
	db, f, err := s.use(path)
	if err != nil {
		return fmt.Errorf("compact: %w", err)
	}
	if err := bolt.Compact(db, s.db, 1<<20); err != nil {
		return errors.Join(fmt.Errorf("compact: %w", err), db.Close(), os.Remove(path))
	}
	if err := s.swap(path, db, f); err != nil {
		return fmt.Errorf("compact: %w", err)
	}
	return nil
}
