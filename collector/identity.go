package collector

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"stepaway/audit"
)

// Errors about devices and certificates.
var (
	ErrDevice  = errors.New("device not known")
	ErrRevoked = errors.New("revoked")
)

// Certificate is what is kept of one that a device shows.
type Certificate struct {
	ID      string      `json:"id"` // SHA-256 of its DER, hex
	Device  audit.Label `json:"-"`
	Issued  time.Time   `json:"issued"`
	Until   time.Time   `json:"until"`
	Used    time.Time   `json:"used,omitzero"`    // first
	Revoked time.Time   `json:"revoked,omitzero"` // since
}

// How long what is known of certificates is kept after their end.
const keepCertificates = 400 * 24 * time.Hour

// decide locks what is known of a device's certificates and answers when it was revoked last, or zero.
func (x *tx) decide(device audit.Label) (revoked time.Time, err error) {
	err = x.row(`INSERT INTO revocations (device) VALUES (?1)
		ON CONFLICT (device) DO UPDATE SET device = excluded.device RETURNING at`, device).Scan(instant{&revoked})
	return revoked, err
}

// Issued notes a certificate before it is handed out. It fails with ErrRevoked if the device was revoked after asked,
// when it was found worthy of one; or if its certificate named parent was, unless that is empty.
func (s *Store) Issued(ctx context.Context, c Certificate, parent string, asked time.Time) error {
	err := s.engine.write(ctx, func(x *tx) error {
		revoked, err := x.decide(c.Device)
		if err != nil {
			return err
		}
		var gone bool
		if err := x.row("SELECT count(*) > 0 FROM certificates WHERE id = ?1 AND revoked IS NOT NULL", parent).Scan(&gone); err != nil {
			return err
		}
		if gone || !revoked.IsZero() && !revoked.Before(asked) {
			return ErrRevoked
		}
		if _, err := x.exec("DELETE FROM certificates WHERE device = ?1 AND until < ?2", c.Device, c.Issued.Add(-keepCertificates)); err != nil {
			return err
		}
		_, err = x.exec("INSERT INTO certificates (id, device, issued, until) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
			c.ID, c.Device, c.Issued, c.Until)
		return err
	})
	if err != nil {
		return fmt.Errorf("note a certificate of %s: %w", c.Device, err)
	}
	return nil
}

// Revoked reports whether a certificate that a device shows was revoked. The first use is noted, and so is one that was
// never heard of, such as a site's own: it counts as revoked if its device was, and not readmitted.
func (s *Store) Revoked(ctx context.Context, c Certificate, now time.Time) (bool, error) {
	used, revoked, err := s.standing(ctx, c.ID)
	if err == nil && used.IsZero() && revoked.IsZero() {
		revoked, err = s.firstUse(ctx, c, now)
	}
	if err != nil {
		return false, fmt.Errorf("look up a certificate of %s: %w", c.Device, err)
	}
	return !revoked.IsZero(), nil
}

func (s *Store) standing(ctx context.Context, id string) (used, revoked time.Time, err error) {
	err = s.engine.ask(ctx, func(x *tx) error {
		err := x.row("SELECT used, revoked FROM certificates WHERE id = ?1", id).Scan(instant{&used}, instant{&revoked})
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	return used, revoked, err
}

func (s *Store) firstUse(ctx context.Context, c Certificate, now time.Time) (time.Time, error) {
	return writing(ctx, s.engine, func(x *tx) (revoked time.Time, err error) {
		device, err := x.decide(c.Device)
		if err != nil {
			return revoked, err
		}
		n, err := x.exec("INSERT INTO certificates (id, device, issued, until) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
			c.ID, c.Device, c.Issued, c.Until)
		if err == nil && n > 0 && !device.IsZero() {
			_, err = x.exec("UPDATE certificates SET revoked = ?1 WHERE id = ?2", device, c.ID)
		}
		if err == nil {
			_, err = x.exec("UPDATE certificates SET used = ?1 WHERE id = ?2 AND used IS NULL AND revoked IS NULL", now, c.ID)
		}
		if err == nil {
			err = x.row("SELECT revoked FROM certificates WHERE id = ?1", c.ID).Scan(instant{&revoked})
		}
		return revoked, err
	})
}

// Revoke refuses every certificate that the device has, and those that are not known yet. Its unused tokens are spent. It
// answers how many certificates were good till then, or ErrDevice.
func (s *Store) Revoke(ctx context.Context, device audit.Label, now time.Time) (int64, error) {
	n, err := writing(ctx, s.engine, func(x *tx) (n int64, err error) {
		var known bool
		err = x.row(`SELECT EXISTS (SELECT 1 FROM devices WHERE device = ?1) OR EXISTS (SELECT 1 FROM certificates WHERE device = ?1)
			OR EXISTS (SELECT 1 FROM tokens WHERE device = ?1)`, device).Scan(&known)
		if err == nil && !known {
			err = ErrDevice
		}
		if err == nil {
			_, err = x.exec("INSERT INTO revocations (device, at) VALUES (?1, ?2) ON CONFLICT (device) DO UPDATE SET at = excluded.at", device, now)
		}
		if err == nil {
			_, err = x.exec("UPDATE tokens SET used = ?1 WHERE device = ?2 AND used IS NULL", now, device)
		}
		if err == nil {
			n, err = x.exec("UPDATE certificates SET revoked = ?1 WHERE device = ?2 AND revoked IS NULL", now, device)
		}
		return n, err
	})
	if err != nil {
		return 0, fmt.Errorf("revoke %s: %w", device, err)
	}
	return n, nil
}

// Readmit lets those certificates of a revoked device in that are not known yet. The known ones stay revoked.
func (s *Store) Readmit(ctx context.Context, device audit.Label) error {
	err := s.engine.write(ctx, func(x *tx) error {
		n, err := x.exec("DELETE FROM revocations WHERE device = ?1 AND at IS NOT NULL", device)
		if err == nil && n == 0 {
			err = ErrDevice
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("readmit %s: %w", device, err)
	}
	return nil
}

// Identity is what is known of a device beside its events.
type Identity struct {
	Revoked      time.Time     `json:"revoked,omitzero"`       // while none of its certificates is good
	Shared       time.Time     `json:"shared,omitzero"`        // when it was last seen in two places
	Certificates []Certificate `json:"certificates,omitempty"` // that have not ended, by time of issue
}

// Identities answers what is known of devices beside their events.
func (v *View) Identities(now time.Time) (map[audit.Label]Identity, error) {
	all := map[audit.Label]Identity{}
	good := map[audit.Label]bool{}
	err := v.each(func(rows *sql.Rows) error {
		var c Certificate
		err := rows.Scan(&c.ID, &c.Device, instant{&c.Issued}, instant{&c.Until}, instant{&c.Used}, instant{&c.Revoked})
		id := all[c.Device]
		id.Certificates = append(id.Certificates, c)
		all[c.Device] = id
		good[c.Device] = good[c.Device] || c.Revoked.IsZero()
		return err
	}, "SELECT id, device, issued, until, used, revoked FROM certificates WHERE until >= ?1 ORDER BY device, issued, id", now)
	if err != nil {
		return nil, err
	}
	err = v.each(func(rows *sql.Rows) error {
		var device audit.Label
		var at time.Time
		err := rows.Scan(&device, instant{&at})
		if id := all[device]; !good[device] {
			id.Revoked = at
			all[device] = id
		}
		return err
	}, "SELECT device, at FROM revocations WHERE at IS NOT NULL")
	if err != nil {
		return nil, err
	}
	return all, v.each(func(rows *sql.Rows) error {
		var device audit.Label
		var at time.Time
		err := rows.Scan(&device, instant{&at})
		id := all[device]
		id.Shared = at
		all[device] = id
		return err
	}, "SELECT device, at FROM shared")
}
