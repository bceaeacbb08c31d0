package spool

import (
	"bytes"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"stepaway/audit"
)

// Next answers the events after a number, in order: at most max of them and, the first one aside, at most
// maxBytes of bodies. Each is checked to continue the one before it. After a number below the freed position it
// begins there.
func (s *Spool) Next(after uint64, max, maxBytes int) (rs []audit.Record, err error) {
	told := s.State()
	err = s.view(func(tx *bolt.Tx) (err error) {
		rs, err = next(tx, told, after, max, maxBytes)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the spool after %d: %w", after, err)
	}
	return rs, nil
}

// view reads the file, which may be damaged.
func (s *Spool) view(f func(*bolt.Tx) error) error {
	if s.bad.Load() {
		return ErrDamaged
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	err := guard(func() error { return s.db.View(f) })
	if errors.Is(err, ErrDamaged) {
		s.bad.Store(true)
	}
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		err = ErrClosed
	}
	return err
}

// next goes by the state in the file, which may be newer by a commit than what was told, and is no further than that: a commit is
// seen before it is on disk, and may be seen and have failed. Whoever has sent such an event has more than the spool after a power cut.
func next(tx *bolt.Tx, told State, after uint64, max, maxBytes int) (rs []audit.Record, err error) {
	x := &txn{meta: tx.Bucket(metaBucket)}
	if err := x.read(); err != nil {
		return nil, err
	}
	if x.st.Epoch != told.Epoch {
		return nil, nil
	}
	prev := ""
	switch {
	case after <= x.st.Freed:
		after, prev = x.st.Freed, x.st.FreedHash
	case after == x.st.Acked:
		prev = x.st.AckedHash
	}
	c := tx.Bucket(eventBucket).Cursor()
	for k, v := c.Seek(key(after + 1)); k != nil && len(rs) < max; k, v = c.Next() {
		seq := after + 1 + uint64(len(rs))
		if seq > told.Head {
			break
		}
		if !bytes.Equal(k, key(seq)) || !continues(v, prev) {
			return nil, fmt.Errorf("%w: event %d does not continue the one before it", ErrDamaged, seq)
		}
		if maxBytes -= len(v); maxBytes < 0 && len(rs) > 0 {
			break
		}
		body := bytes.Clone(v)
		prev = audit.Hash(body)
		rs = append(rs, audit.Record{Seq: seq, Hash: prev, Body: body})
	}
	return rs, nil
}

// continues reports whether an encoded event says that it follows the one whose hash is prev. The hash is
// the last thing that Encode writes. An empty prev is any.
func continues(body []byte, prev string) bool {
	return prev == "" || bytes.HasSuffix(body, []byte(`"prev":"`+prev+`"}`))
}
