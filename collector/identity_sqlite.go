package collector

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"stepaway/audit"
)

const identitySchema = `
CREATE TABLE IF NOT EXISTS certificates (id TEXT PRIMARY KEY, device TEXT NOT NULL, issued INTEGER NOT NULL,
	until INTEGER NOT NULL, used INTEGER, revoked INTEGER) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS certificates_of ON certificates (device, issued);
CREATE TABLE IF NOT EXISTS revocations (device TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sightings (device TEXT NOT NULL, what TEXT NOT NULL, value TEXT NOT NULL, turn INTEGER NOT NULL,
	since INTEGER NOT NULL, peer TEXT NOT NULL, PRIMARY KEY (device, what, value)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shared (device TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
`

// How long what is known of certificates and places is kept.
const (
	keepCertificates = 400 * 24 * time.Hour // after their end
	keepSightings    = 100 * 24 * time.Hour
	tellSharedEvery  = time.Hour
)

func (s *sqliteStore) Issued(ctx context.Context, c Certificate) error {
	err := s.submit(ctx, func(tx *sql.Tx) error {
		if _, err := tx.Exec("DELETE FROM certificates WHERE device = ? AND until < ?", c.Device, c.Issued.Add(-keepCertificates).UnixMicro()); err != nil {
			return err
		}
		_, err := tx.Exec("INSERT INTO certificates (id, device, issued, until) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
			c.ID, c.Device, c.Issued.UnixMicro(), c.Until.UnixMicro())
		return err
	})
	if err != nil {
		return fmt.Errorf("note a certificate of %s: %w", c.Device, err)
	}
	return nil
}

func (s *sqliteStore) Standing(ctx context.Context, c Certificate, now time.Time) (Standing, error) {
	var used, revoked sql.NullInt64
	err := s.read.QueryRowContext(ctx, "SELECT used, revoked FROM certificates WHERE id = ?", c.ID).Scan(&used, &revoked)
	if err == nil && (used.Valid || revoked.Valid) {
		return Standing{Revoked: revoked.Valid}, nil
	}
	if err == nil || errors.Is(err, sql.ErrNoRows) {
		err = s.submit(ctx, func(tx *sql.Tx) error { return firstUse(tx, c, now, &revoked) })
	}
	if err != nil {
		return Standing{}, fmt.Errorf("look up a certificate of %s: %w", c.Device, err)
	}
	return Standing{Revoked: revoked.Valid}, nil
}

// firstUse notes that a certificate was shown, also one that is not known: a site's own, or one from before the table.
func firstUse(tx *sql.Tx, c Certificate, now time.Time, revoked *sql.NullInt64) error {
	_, err := tx.Exec(`INSERT INTO certificates (id, device, issued, until, revoked)
		VALUES (?1, ?2, ?3, ?4, (SELECT at FROM revocations WHERE device = ?2)) ON CONFLICT DO NOTHING`,
		c.ID, c.Device, c.Issued.UnixMicro(), c.Until.UnixMicro())
	if err != nil {
		return err
	}
	return tx.QueryRow("UPDATE certificates SET used = coalesce(used, iif(revoked IS NULL, ?1, NULL)) WHERE id = ?2 RETURNING revoked",
		now.UnixMicro(), c.ID).Scan(revoked)
}

func (s *sqliteStore) Revoke(ctx context.Context, device audit.Label, now time.Time) (n int, err error) {
	err = s.submit(ctx, func(tx *sql.Tx) error {
		n, err = revoke(tx, device, now.UnixMicro())
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("revoke %s: %w", device, err)
	}
	return n, nil
}

func revoke(tx *sql.Tx, device audit.Label, now int64) (int, error) {
	var known bool
	err := tx.QueryRow(`SELECT EXISTS (SELECT 1 FROM devices WHERE device = ?1) OR EXISTS (SELECT 1 FROM certificates WHERE device = ?1)
		OR EXISTS (SELECT 1 FROM tokens WHERE device = ?1)`, device).Scan(&known)
	if err != nil {
		return 0, err
	}
	if !known {
		return 0, ErrDevice
	}
	r, err := tx.Exec("UPDATE certificates SET revoked = ? WHERE device = ? AND revoked IS NULL", now, device)
	if err != nil {
		return 0, err
	}
	n, err := r.RowsAffected()
	if err != nil {
		return 0, err
	}
	if _, err = tx.Exec("UPDATE tokens SET used = ? WHERE device = ? AND used IS NULL", now, device); err != nil {
		return 0, err
	}
	_, err = tx.Exec("INSERT INTO revocations (device, at) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET at = ?2", device, now)
	return int(n), err
}

func (s *sqliteStore) Readmit(ctx context.Context, device audit.Label) error {
	err := s.submit(ctx, func(tx *sql.Tx) error {
		r, err := tx.Exec("DELETE FROM revocations WHERE device = ?", device)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); n == 0 && err == nil {
			return ErrDevice
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("readmit %s: %w", device, err)
	}
	return nil
}

func (s *sqliteStore) Certificates(ctx context.Context, now time.Time) ([]Certificate, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT id, device, issued, until, used, revoked FROM certificates WHERE until >= ? ORDER BY device, issued, id", now.UnixMicro())
	if err != nil {
		return nil, fmt.Errorf("read the store: %w", err)
	}
	defer rows.Close()
	var cs []Certificate
	for rows.Next() {
		var c Certificate
		var issued, until int64
		var used, revoked sql.NullInt64
		if err := rows.Scan(&c.ID, &c.Device, &issued, &until, &used, &revoked); err != nil {
			return nil, fmt.Errorf("read the store: %w", err)
		}
		c.Issued, c.Until, c.Used, c.Revoked = timeOf(issued), timeOf(until), timeOrNone(used), timeOrNone(revoked)
		cs = append(cs, c)
	}
	return cs, rows.Err()
}

func timeOf(micro int64) time.Time { return time.UnixMicro(micro).UTC() }

func timeOrNone(micro sql.NullInt64) time.Time {
	if !micro.Valid {
		return time.Time{}
	}
	return timeOf(micro.Int64)
}

func (s *sqliteStore) See(ctx context.Context, at Sighting) (back []Return, err error) {
	if news, err := s.anyNews(ctx, at); err != nil || !news {
		return nil, err
	}
	err = s.submit(ctx, func(tx *sql.Tx) error {
		back, err = see(tx, at)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("note where %s is: %w", at.Device, err)
	}
	return back, nil
}

// anyNews reports whether something of a sighting is not what was seen last.
func (s *sqliteStore) anyNews(ctx context.Context, at Sighting) (bool, error) {
	if at.Fork {
		return true, nil
	}
	for _, p := range at.parts() {
		var last string
		err := s.read.QueryRowContext(ctx, lastSeen, at.Device, p.what).Scan(&last)
		if errors.Is(err, sql.ErrNoRows) || err == nil && last != p.value {
			return true, nil
		}
		if err != nil {
			return false, fmt.Errorf("read the store: %w", err)
		}
	}
	return false, nil
}

const lastSeen = "SELECT value FROM sightings WHERE device = ? AND what = ? ORDER BY turn DESC LIMIT 1"

// part is one kind of thing that only one place can have at a time, and that never comes back.
type part struct {
	what  audit.Label
	value string
}

func (s Sighting) parts() (ps []part) {
	for _, p := range []part{{"certificate", s.Certificate}, {"epoch", s.Epoch}, {"boot", s.Boot}} {
		if p.value != "" {
			ps = append(ps, p)
		}
	}
	return ps
}

func see(tx *sql.Tx, at Sighting) ([]Return, error) {
	var back []Return
	if at.Fork {
		back = append(back, Return{What: "fork", Value: at.Epoch})
	}
	for _, p := range at.parts() {
		r, err := seePart(tx, at, p)
		if err != nil {
			return nil, err
		}
		if r != nil {
			back = append(back, *r)
		}
	}
	if len(back) == 0 {
		return nil, nil
	}
	r, err := tx.Exec(`INSERT INTO shared (device, at) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET at = ?2 WHERE at <= ?3`,
		at.Device, at.At.UnixMicro(), at.At.Add(-tellSharedEvery).UnixMicro())
	if err != nil {
		return nil, err
	}
	if n, err := r.RowsAffected(); n == 0 || err != nil {
		return nil, err
	}
	return back, nil
}

// seePart gives a value its turn. One that had its turn before has come back, unless the request was older than
// what is there now and only arrived late.
func seePart(tx *sql.Tx, at Sighting, p part) (*Return, error) {
	var last, peer string
	var turn, since int64
	err := tx.QueryRow("SELECT value, turn, since, peer FROM sightings WHERE device = ? AND what = ? ORDER BY turn DESC LIMIT 1",
		at.Device, p.what).Scan(&last, &turn, &since, &peer)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	if last == p.value || at.At.UnixMicro() < since {
		return nil, nil
	}
	if _, err := tx.Exec("DELETE FROM sightings WHERE device = ? AND what = ? AND since < ? AND value <> ?", at.Device, p.what,
		at.At.Add(-keepSightings).UnixMicro(), last); err != nil {
		return nil, err
	}
	r, err := tx.Exec("UPDATE sightings SET turn = ?, since = ?, peer = ? WHERE device = ? AND what = ? AND value = ?",
		turn+1, at.At.UnixMicro(), at.Peer, at.Device, p.what, p.value)
	if err != nil {
		return nil, err
	}
	if n, err := r.RowsAffected(); n > 0 || err != nil {
		return &Return{What: p.what, Value: p.value, After: last, Peer: peer}, err
	}
	_, err = tx.Exec("INSERT INTO sightings (device, what, value, turn, since, peer) VALUES (?, ?, ?, ?, ?, ?)",
		at.Device, p.what, p.value, turn+1, at.At.UnixMicro(), at.Peer)
	return nil, err
}

func (s *sqliteStore) Shared(ctx context.Context) (map[audit.Label]time.Time, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT device, at FROM shared")
	if err != nil {
		return nil, fmt.Errorf("read the store: %w", err)
	}
	defer rows.Close()
	all := map[audit.Label]time.Time{}
	for rows.Next() {
		var device audit.Label
		var at int64
		if err := rows.Scan(&device, &at); err != nil {
			return nil, fmt.Errorf("read the store: %w", err)
		}
		all[device] = timeOf(at)
	}
	return all, rows.Err()
}

func (s *sqliteStore) Record(ctx context.Context, e audit.Event) error {
	err := s.submit(ctx, func(tx *sql.Tx) error { return recordOwn(tx, e) })
	if err != nil {
		return fmt.Errorf("record %s: %w", e.Type, err)
	}
	return nil
}

func recordOwn(tx *sql.Tx, e audit.Event) error {
	t := &taking{Arrival: Arrival{Device: Own, Epoch: OwnEpoch, Received: e.Wall}, tx: tx}
	if _, err := t.load(); err != nil {
		return err
	}
	e.Device, e.Epoch, e.Seq, e.Prev = Own, OwnEpoch, t.held.Last+1, t.held.Hash
	body, hash, err := audit.Encode(e)
	if err != nil {
		return err
	}
	_, err = take(tx, Arrival{Device: Own, Epoch: OwnEpoch, Received: e.Wall,
		Events: []Event{{Record: audit.Record{Seq: e.Seq, Hash: hash, Body: body}, Prev: e.Prev, Type: e.Type, Wall: e.Wall}}})
	return err
}
