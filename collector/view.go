package collector

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"stepaway/audit"
)

// View is the store as it is at one moment.
type View struct {
	x   *tx
	old func(*tx, time.Time, func(Run) error) error
}

// View calls f with what the store holds at one moment.
func (s *Store) View(ctx context.Context, f func(*View) error) error {
	return s.engine.read(ctx, func(x *tx) error { return f(&View{x, s.engine.old}) })
}

// each is tx.each with an error that says what was done.
func (v *View) each(f func(*sql.Rows) error, query string, args ...any) error {
	if err := v.x.each(f, query, args...); err != nil {
		return fmt.Errorf("read the store: %w", err)
	}
	return nil
}

// Walk calls f for each event that the filter lets through, by device, epoch and number.
func (v *View) Walk(filter Filter, f func(Kept) error) error {
	query := "SELECT device, epoch, seq, hash, received, body FROM events WHERE received >= ?1"
	if filter.Aside {
		query = "SELECT device, epoch, seq, hash, received, body FROM conflicts WHERE received >= ?1"
	}
	args := []any{filter.Since}
	if filter.Since.IsZero() {
		args[0] = time.Unix(0, 0)
	}
	if filter.Device != "" {
		query, args = query+" AND device = ?2", append(args, filter.Device)
	}
	return v.each(func(rows *sql.Rows) error {
		var k Kept
		if err := rows.Scan(&k.Device, &k.Epoch, &k.Seq, &k.Hash, instant{&k.Received}, &k.Body); err != nil {
			return err
		}
		return f(k)
	}, query+" ORDER BY device, epoch, seq", args...)
}

// Devices answers every device, with its epochs.
func (v *View) Devices() ([]Device, error) {
	epochs := map[audit.Label][]Epoch{}
	err := v.each(func(rows *sql.Rows) error {
		var device audit.Label
		var e Epoch
		if err := rows.Scan(&device, &e.Name, &e.First, &e.Last, &e.Hash, instant{&e.Since}); err != nil {
			return err
		}
		epochs[device] = append(epochs[device], e)
		return nil
	}, "SELECT device, epoch, first, last, hash, since FROM epochs ORDER BY device, since, epoch")
	if err != nil {
		return nil, err
	}
	var ds []Device
	err = v.each(func(rows *sql.Rows) error {
		var d Device
		if err := rows.Scan(&d.Name, instant{&d.Enrolled}, instant{&d.Seen}); err != nil {
			return err
		}
		d.Epochs = epochs[d.Name]
		ds = append(ds, d)
		return nil
	}, "SELECT device, enrolled, seen FROM devices ORDER BY device")
	return ds, err
}

// Holes answers what was acknowledged and is not there, as it was noticed.
func (v *View) Holes() (hs []Hole, err error) {
	err = v.each(func(rows *sql.Rows) error {
		var h Hole
		err := rows.Scan(&h.Device, &h.Epoch, &h.First, &h.Last, instant{&h.Noticed})
		hs = append(hs, h)
		return err
	}, "SELECT device, epoch, first, last, noticed FROM holes ORDER BY device, epoch, first")
	return hs, err
}

// Removals calls f for each record of what a rule removed, in order.
func (v *View) Removals(f func(Sealed) error) error {
	return v.each(func(rows *sql.Rows) error {
		var s Sealed
		r := &s.Run
		if err := rows.Scan(&s.N, &r.Device, &r.Epoch, &r.First, &r.Last, &r.Aside, &s.Body, &s.Sig); err != nil {
			return err
		}
		return f(s)
	}, "SELECT n, device, epoch, first, last, aside, body, sig FROM removals ORDER BY n")
}
