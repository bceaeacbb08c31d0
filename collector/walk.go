package collector

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"stepaway/audit"
)

func (s *sqliteStore) Walk(ctx context.Context, filter Filter, f func(Kept) error) error {
	table := "events"
	if filter.Aside {
		table = "conflicts"
	}
	rows, err := s.read.QueryContext(ctx, "SELECT device, epoch, seq, hash, received, body FROM "+table+
		" WHERE (?1 = '' OR device = ?1) AND received >= ?2 ORDER BY device, epoch, seq", filter.Device, micro(filter.Since))
	if err != nil {
		return fmt.Errorf("read the store: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var k Kept
		var received int64
		if err := rows.Scan(&k.Device, &k.Epoch, &k.Seq, &k.Hash, &received, &k.Body); err != nil {
			return fmt.Errorf("read the store: %w", err)
		}
		k.Received = time.UnixMicro(received).UTC()
		if err := f(k); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the store: %w", err)
	}
	return nil
}

func micro(t time.Time) int64 {
	if t.IsZero() {
		return -1 << 62
	}
	return t.UnixMicro()
}

func (s *sqliteStore) Devices(ctx context.Context) ([]Device, error) {
	epochs, err := s.epochs(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := s.read.QueryContext(ctx, "SELECT device, enrolled, seen FROM devices ORDER BY device")
	if err != nil {
		return nil, fmt.Errorf("read the store: %w", err)
	}
	defer rows.Close()
	var ds []Device
	for rows.Next() {
		var d Device
		var enrolled int64
		var seen sql.NullInt64
		if err := rows.Scan(&d.Name, &enrolled, &seen); err != nil {
			return nil, fmt.Errorf("read the store: %w", err)
		}
		d.Enrolled = time.UnixMicro(enrolled).UTC()
		if seen.Valid {
			d.Seen = time.UnixMicro(seen.Int64).UTC()
		}
		d.Epochs = epochs[d.Name]
		ds = append(ds, d)
	}
	return ds, rows.Err()
}

func (s *sqliteStore) epochs(ctx context.Context) (map[audit.Label][]Epoch, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT device, epoch, first, last, hash, since FROM epochs ORDER BY device, since, epoch")
	if err != nil {
		return nil, fmt.Errorf("read the store: %w", err)
	}
	defer rows.Close()
	all := map[audit.Label][]Epoch{}
	for rows.Next() {
		var device audit.Label
		var e Epoch
		var since int64
		if err := rows.Scan(&device, &e.Name, &e.First, &e.Last, &e.Hash, &since); err != nil {
			return nil, fmt.Errorf("read the store: %w", err)
		}
		e.Since = time.UnixMicro(since).UTC()
		all[device] = append(all[device], e)
	}
	return all, rows.Err()
}
