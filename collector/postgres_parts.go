package collector

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Events lie in one partition for each month of receipt. There is no default partition: in it an event would lie
// outside its month, and keep the partition of that month from being made.

// monthsAhead are made before they are needed, so that a batch hardly ever waits for one.
const monthsAhead = 2

func partitionOf(m time.Time) string { return m.Format("events_2006_01") }

func (p *postgres) ahead(ctx context.Context) error {
	now := month(time.Now())
	for i := range monthsAhead + 1 {
		if err := p.retry(ctx, func(ctx context.Context) error { return p.partition(ctx, now.AddDate(0, i, 0)) }); err != nil {
			return err
		}
	}
	return nil
}

// partitions makes those that the arrivals need and that are not known to be there, or any of them where unsure.
func (p *postgres) partitions(ctx context.Context, ts []*taking, unsure bool) error {
	for _, t := range ts {
		m := month(t.Received)
		p.mu.Lock()
		there := p.months[m]
		p.mu.Unlock()
		if there && !unsure {
			continue
		}
		if err := p.partition(ctx, m); err != nil {
			return err
		}
		if err := p.partition(ctx, m.AddDate(0, 1, 0)); err != nil {
			return err
		}
	}
	return nil
}

// partition makes the one of a month. The table is made by itself and then attached, which lets others go on writing.
func (p *postgres) partition(ctx context.Context, m time.Time) error {
	name, next := partitionOf(m), m.AddDate(0, 1, 0)
	err := pgx.BeginFunc(ctx, p.pool, func(x pgx.Tx) error {
		if _, err := x.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(pgLock)); err != nil {
			return err
		}
		var there bool
		if err := x.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", name).Scan(&there); err != nil || there {
			return err
		}
		_, err := x.Exec(ctx, fmt.Sprintf(`CREATE TABLE %[1]s (LIKE events); CREATE UNIQUE INDEX %[1]s_key ON %[1]s (device, epoch, seq);
			ALTER TABLE events ATTACH PARTITION %[1]s FOR VALUES FROM ('%[2]s') TO ('%[3]s')`,
			name, m.Format(time.RFC3339), next.Format(time.RFC3339)))
		return err
	})
	if err != nil {
		return fmt.Errorf("make the partition %s: %w", name, err)
	}
	p.mu.Lock()
	p.months[m] = true
	p.mu.Unlock()
	return nil
}

// oldPartitions answers the months before a time that have a partition, in order.
func oldPartitions(x *tx, before time.Time) (months []time.Time, err error) {
	err = x.each(func(rows *sql.Rows) error {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		m, err := time.Parse("events_2006_01", name)
		if err == nil && m.Before(before) {
			months = append(months, m)
		}
		return nil
	}, "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'events'::regclass ORDER BY c.relname")
	return months, err
}

// runsOf answers the runs of events in the partition of a month.
func runsOf(x *tx, m time.Time, f func(Run) error) error {
	return x.each(func(rows *sql.Rows) error {
		var r Run
		if err := rows.Scan(&r.Device, &r.Epoch, &r.First, &r.Last, &r.Count, &r.Hash); err != nil {
			return err
		}
		return f(r)
	}, fmt.Sprintf(`SELECT r.device, r.epoch, r.first, r.last, r.count, e.hash FROM (
			SELECT device, epoch, min(seq) AS first, max(seq) AS last, count(*) AS count FROM (
				SELECT device, epoch, seq, seq - row_number() OVER (PARTITION BY device, epoch ORDER BY seq) AS island FROM %[1]s) AS s
			GROUP BY device, epoch, island) AS r
		JOIN %[1]s AS e ON e.device = r.device AND e.epoch = r.epoch AND e.seq = r.last ORDER BY r.device, r.epoch, r.first`, partitionOf(m)))
}

func (p *postgres) old(x *tx, before time.Time, f func(Run) error) error {
	months, err := oldPartitions(x, before)
	for _, m := range months {
		if err == nil {
			err = runsOf(x, m, f)
		}
	}
	if err != nil {
		return err
	}
	return oldAside(x, before, f)
}

// remove drops the partitions of old months, one in each transaction, with the records of what was in it.
func (p *postgres) remove(ctx context.Context, before time.Time, seal sealer) (total int64, err error) {
	for {
		var n int64
		var more bool
		err := p.removal(ctx, func(x *tx) (err error) {
			n, more, err = p.removeMonth(x, before, seal)
			return err
		})
		if err != nil {
			return total, err
		}
		total += n
		if !more {
			break
		}
	}
	var n int64
	err = p.removal(ctx, func(x *tx) (err error) {
		n, err = removeAside(x, before, seal)
		return err
	})
	return total + n, err
}

// removal runs f alone among all collectors, for as long as it takes.
func (p *postgres) removal(ctx context.Context, f func(*tx) error) error {
	alone := func(x *tx) error {
		if err := x.takeTime(); err != nil {
			return err
		}
		if _, err := x.exec("SELECT pg_advisory_xact_lock(?1)", int64(pgLock)); err != nil {
			return err
		}
		return f(x)
	}
	return p.retry(ctx, func(ctx context.Context) error { return p.transact(ctx, nil, alone) })
}

// removeMonth removes the oldest month. Only the last step needs the whole table for itself, for a moment.
func (p *postgres) removeMonth(x *tx, before time.Time, seal sealer) (n int64, more bool, err error) {
	months, err := oldPartitions(x, before)
	if err != nil || len(months) == 0 {
		return 0, false, err
	}
	name := partitionOf(months[0])
	if _, err := x.exec("LOCK TABLE ONLY " + name + " IN SHARE MODE"); err != nil {
		return 0, false, err
	}
	var runs []Run
	err = runsOf(x, months[0], func(r Run) error {
		runs, n = append(runs, r), n+int64(r.Count)
		return nil
	})
	if err != nil {
		return 0, false, err
	}
	if err := record(x, runs, seal); err != nil {
		return 0, false, err
	}
	p.mu.Lock()
	delete(p.months, months[0])
	p.mu.Unlock()
	if _, err := x.exec("DROP TABLE " + name); err != nil {
		return 0, false, err
	}
	return n, len(months) > 1, nil
}
