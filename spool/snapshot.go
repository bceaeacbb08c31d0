package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"

	"stepaway/audit"
)

// metaBytes covers bbolt's two meta pages, which every commit rewrites last.
const metaBytes = 8 << 10

// Snapshot copies the spool's file in dir to a new file at path, while the courier runs or not. bbolt writes
// only to pages that the last commit does not need, so a copy during which no commit ended is sound.
func Snapshot(dir, path string) error {
	from, err := os.Open(filepath.Join(dir, fileName))
	if err != nil {
		return fmt.Errorf("copy the spool: %w", err)
	}
	defer from.Close()
	for range 20 {
		again, err := copyOnce(from, path)
		if err != nil {
			return fmt.Errorf("copy the spool: %w", err)
		}
		if !again {
			return nil
		}
	}
	return errors.New("copy the spool: it is being written to without a pause; try again later")
}

// copyOnce copies, and reports whether a commit ended meanwhile.
func copyOnce(from *os.File, path string) (again bool, err error) {
	before, err := metas(from)
	if err != nil {
		return false, err
	}
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return false, err
	}
	_, err = io.Copy(to, io.NewSectionReader(from, 0, 1<<40))
	if err := errors.Join(err, to.Close()); err != nil {
		return false, err
	}
	after, err := metas(from)
	return !bytes.Equal(before, after), err
}

func metas(f *os.File) ([]byte, error) {
	b := make([]byte, metaBytes)
	n, err := f.ReadAt(b, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return b[:n], err
}

// Read answers what the file at path holds and calls f for each event in it, oldest first, until f fails.
// The file must be a Snapshot that Check found sound.
func Read(path string, f func(audit.Record) error) (State, error) {
	db, _, err := openFile(path, true)
	if err != nil {
		return State{}, fmt.Errorf("read %s: %w", path, err)
	}
	defer db.Close()
	x := &txn{}
	err = guard(func() error {
		return db.View(func(tx *bolt.Tx) error { return x.walk(tx, f) })
	})
	if err != nil {
		return State{}, fmt.Errorf("read %s: %w", path, err)
	}
	st := x.st.told()
	st.Bytes = fileSize(path)
	return st, nil
}

func (x *txn) walk(tx *bolt.Tx, f func(audit.Record) error) error {
	if x.meta, x.events = tx.Bucket(metaBucket), tx.Bucket(eventBucket); x.meta == nil || x.events == nil {
		return nil
	}
	if err := x.read(); err != nil {
		return err
	}
	c := x.events.Cursor()
	for k, v := c.Seek(key(x.st.Freed + 1)); k != nil; k, v = c.Next() {
		r := audit.Record{Seq: keySeq(k), Hash: audit.Hash(v), Body: bytes.Clone(v)}
		if err := f(r); err != nil {
			return err
		}
	}
	return nil
}

func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}
