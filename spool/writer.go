package spool

import (
	"context"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"stepaway/audit"
	"stepaway/group"
)

// maxGroup is how many jobs share one transaction at most.
const maxGroup = 1024

// job is one caller's part of a transaction. do answers ErrFull or ErrAck before it has changed anything;
// any other error undoes the whole transaction.
type job struct {
	do    func(*txn) error
	alone func() error // runs outside the transaction instead, after it
	err   error
}

// Append stores events in order, durably, and answers the numbers of the first and last that were written,
// 0 if none was. Events of a run that are stored already are left out. When the spool is nearly full, events
// that are not critical are counted instead of written; when even its reserve is used up, a batch with a
// critical event is refused whole with ErrFull.
func (s *Spool) Append(events []audit.Event) (first, last uint64, err error) {
	err = s.submit(func(x *txn) error {
		first, last, err = x.append(events)
		return err
	})
	if err != nil {
		return 0, 0, fmt.Errorf("append %d events to the spool: %w", len(events), err)
	}
	return first, last, nil
}

// ackStep is how many events one transaction deletes at most.
const ackStep = 1000

// Ack notes that the collector has every event up to last and deletes what nobody else waits for. It is refused with ErrAck when the spool never had such an event or
// has another one under that number. Proof is what the collector signed; it is kept for State.
func (s *Spool) Ack(last uint64, hash, proof string) error {
	more := false
	step := func(x *txn) (err error) {
		more, err = x.ack(last, hash, proof)
		return err
	}
	for again := true; again; again = more {
		if err := s.submit(step); err != nil {
			return fmt.Errorf("acknowledge up to %d: %w", last, err)
		}
	}
	if err := s.writeAck(); err != nil {
		return err
	}
	if s.State().Dropped > 0 {
		if err := s.submit(func(*txn) error { return nil }); err != nil {
			return err
		}
	}
	return s.compact()
}

// Fork ends the epoch because the collector holds another history of it, and carries what is not
// acknowledged over to a new one, behind an event that says so.
func (s *Spool) Fork(code audit.Label) error {
	err := s.submit(func(x *txn) error { return x.rollback(code, x.st.Acked, 0) })
	if err != nil {
		return fmt.Errorf("begin a new epoch: %w", err)
	}
	return s.writeAck()
}

func (s *Spool) submit(do func(*txn) error) error { return s.send(&job{do: do}) }

// send waits until the one goroutine that writes is done with the job: its fate must be known.
func (s *Spool) send(j *job) error {
	err := s.jobs.Do(context.Background(), j)
	if errors.Is(err, group.ErrClosed) {
		return ErrClosed
	}
	if err == nil {
		err = j.err
	}
	return err
}

func (s *Spool) commit(js []*job) error {
	err := ErrDamaged
	if !s.bad.Load() {
		err = guard(func() error { return s.transact(js) })
	}
	if errors.Is(err, ErrDamaged) {
		s.bad.Store(true)
	}
	for _, j := range js {
		if err == nil && j.alone != nil {
			j.err = guard(j.alone)
		}
	}
	return err
}

// transact runs the jobs in one transaction. What is in memory is read from the file each time, so that a
// commit whose fate is unknown leaves no number to be given out twice.
func (s *Spool) transact(js []*job) error {
	if s.doubt {
		if err := s.renew(); err != nil {
			return err
		}
		if err := s.learn(); err != nil {
			return err
		}
		s.doubt = false
	}
	tx, err := s.db.Begin(true)
	if err != nil {
		return err
	}
	x, err := load(tx, &s.o, s.known)
	if err == nil {
		err = x.runAll(js)
	}
	if err == nil && x.dirty {
		err = x.save()
	}
	switch {
	case err != nil:
		return errors.Join(err, tx.Rollback())
	case x.dirty:
		err = s.end(tx)
	default:
		err = tx.Rollback()
	}
	if err != nil {
		return err
	}
	s.known = x.known
	s.publish(x)
	return nil
}

// learn tells and notes what came of a commit that failed and yet was seen, now that it is durable: what is done next may end
// the epoch that it began, and the note would be two epochs old.
func (s *Spool) learn() error {
	tx, err := s.db.Begin(true)
	if err != nil {
		return err
	}
	x, err := load(tx, &s.o, s.known)
	if err == nil {
		s.publish(x)
	}
	if err := errors.Join(err, tx.Rollback()); err != nil {
		return err
	}
	return s.writeAck()
}

// end commits. After a failure it finds out whether the commit is seen all the same.
func (s *Spool) end(tx *bolt.Tx) error {
	id := tx.ID()
	err := tx.Commit()
	if err != nil {
		seen, e := lastCommit(s.db)
		s.doubt = e != nil || seen == id
	}
	return err
}

func (x *txn) runAll(js []*job) error {
	if err := errors.Join(x.makeRoom(), x.tellDrops()); err != nil {
		return err
	}
	for _, j := range js {
		if j.do == nil {
			continue
		}
		j.err = j.do(x)
		if j.err != nil && !errors.Is(j.err, ErrFull) && !errors.Is(j.err, ErrAck) {
			return j.err
		}
	}
	return nil
}

func (s *Spool) publish(x *txn) {
	st := x.st.told()
	st.Bytes = fileSize(s.path())
	s.state.Store(&st)
}
