package collector

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// removeAtOnce is how many events one transaction removes at most, so that couriers do not wait for it.
const removeAtOnce = 5000

// old finds the events at the beginning of each epoch that were received before some time.
func (s *sqlite) old(x *tx, before time.Time, f func(Run) error) error {
	all, err := epochsOf(x)
	if err != nil {
		return err
	}
	for _, r := range all {
		runs, err := oldOf(x, r, before, 1<<62)
		if err != nil {
			return err
		}
		for _, r := range runs {
			if err := f(r); err != nil {
				return err
			}
		}
	}
	return oldAside(x, before, f)
}

func epochsOf(x *tx) (all []Run, err error) {
	err = x.each(func(rows *sql.Rows) error {
		var r Run
		err := rows.Scan(&r.Device, &r.Epoch)
		all = append(all, r)
		return err
	}, "SELECT device, epoch FROM epochs ORDER BY device, epoch")
	return all, err
}

var errStop = errors.New("stop")

// oldOf answers the events at the beginning of an epoch that were received before some time, at most most of them. A
// number that is missing begins a new run.
func oldOf(x *tx, of Run, before time.Time, most uint64) (runs []Run, err error) {
	err = x.each(func(rows *sql.Rows) error {
		var seq uint64
		var hash string
		var received time.Time
		if err := rows.Scan(&seq, &hash, instant{&received}); err != nil {
			return err
		}
		if !received.Before(before) || most == 0 {
			return errStop
		}
		if len(runs) == 0 || seq != runs[len(runs)-1].Last+1 {
			runs = append(runs, Run{Device: of.Device, Epoch: of.Epoch, First: seq})
		}
		r := &runs[len(runs)-1]
		r.Last, r.Hash, r.Count, most = seq, hash, r.Count+1, most-1
		return nil
	}, "SELECT seq, hash, received FROM events WHERE device = ?1 AND epoch = ?2 ORDER BY seq", of.Device, of.Epoch)
	if errors.Is(err, errStop) {
		err = nil
	}
	return runs, err
}

// oldAside calls f for what was put aside before some time, epoch by epoch.
func oldAside(x *tx, before time.Time, f func(Run) error) error {
	var all []Run
	err := x.each(func(rows *sql.Rows) error {
		r := Run{Aside: true}
		err := rows.Scan(&r.Device, &r.Epoch, &r.First, &r.Last, &r.Count)
		all = append(all, r)
		return err
	}, `SELECT device, epoch, min(seq), max(seq), count(*) FROM conflicts WHERE received < ?1
		GROUP BY device, epoch ORDER BY device, epoch`, before)
	for _, r := range all {
		if err == nil {
			err = f(r)
		}
	}
	return err
}

// remove goes through the epochs, a few thousand events in each transaction.
func (s *sqlite) remove(ctx context.Context, before time.Time, seal sealer) (total int64, err error) {
	var all []Run
	if err := s.read(ctx, func(x *tx) (err error) { all, err = epochsOf(x); return err }); err != nil {
		return 0, err
	}
	for len(all) > 0 {
		var n int64
		rest := all
		err := s.write(ctx, func(x *tx) (err error) {
			n, rest, err = removeSome(x, all, before, seal)
			return err
		})
		if err != nil {
			return total, err
		}
		total, all = total+n, rest
	}
	err = s.write(ctx, func(x *tx) error {
		n, err := removeAside(x, before, seal)
		total += n
		return err
	})
	return total, err
}

// removeSome removes up to removeAtOnce events and answers which epochs are left to be looked at.
func removeSome(x *tx, all []Run, before time.Time, seal sealer) (n int64, rest []Run, err error) {
	var runs []Run
	for rest = all; len(rest) > 0 && n < removeAtOnce; rest = rest[1:] {
		found, err := oldOf(x, rest[0], before, removeAtOnce-uint64(n))
		if err != nil {
			return 0, nil, err
		}
		for _, r := range found {
			n += int64(r.Count)
			_, err := x.exec("DELETE FROM events WHERE device = ?1 AND epoch = ?2 AND seq BETWEEN ?3 AND ?4", r.Device, r.Epoch, r.First, r.Last)
			if err != nil {
				return 0, nil, err
			}
		}
		runs = append(runs, found...)
		if n == removeAtOnce {
			break // and look at this one again
		}
	}
	return n, rest, record(x, runs, seal)
}

func removeAside(x *tx, before time.Time, seal sealer) (int64, error) {
	var runs []Run
	if err := oldAside(x, before, func(r Run) error { runs = append(runs, r); return nil }); err != nil {
		return 0, err
	}
	n, err := x.exec("DELETE FROM conflicts WHERE received < ?1", before)
	if err != nil {
		return 0, err
	}
	return n, record(x, runs, seal)
}

// record writes the sealed records of runs after the last one that is there.
func record(x *tx, runs []Run, seal sealer) error {
	if len(runs) == 0 {
		return nil
	}
	var last Sealed
	err := x.row("SELECT n, body FROM removals ORDER BY n DESC LIMIT 1").Scan(&last.N, &last.Body)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	records, err := seal(last, runs)
	if err != nil {
		return err
	}
	for i, s := range records {
		r := runs[i]
		_, err := x.exec("INSERT INTO removals (n, device, epoch, first, last, aside, body, sig) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
			s.N, r.Device, r.Epoch, r.First, r.Last, r.Aside, s.Body, s.Sig)
		if err != nil {
			return err
		}
	}
	return nil
}
