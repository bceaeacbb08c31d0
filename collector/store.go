package collector

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"stepaway/audit"
)

// Store keeps events, in SQLite or in PostgreSQL. Every method may be called from any goroutine and by several
// processes at once, on several machines with PostgreSQL.
type Store struct{ engine engine }

// engine is what each database does in its own way.
type engine interface {
	// take stores what t decides, durably. See taking.
	take(ctx context.Context, t *taking) error
	// write runs f in a transaction and makes it durable. After a failure f may be run again from its beginning.
	write(ctx context.Context, f func(*tx) error) error
	// ask runs f, of which each query sees the store as it is then. For what has to be quick.
	ask(ctx context.Context, f func(*tx) error) error
	// read runs f in a transaction that sees the store as it is at one moment, and may take long.
	read(ctx context.Context, f func(*tx) error) error
	// old calls f for each run of events that is of a month of receipt before the given one, and may be removed.
	old(x *tx, before time.Time, f func(Run) error) error
	// remove removes those runs and stores what seal makes of them, together. It answers how many events went.
	remove(ctx context.Context, before time.Time, seal sealer) (int64, error)
	close() error
}

// CheckAddress says what is wrong with the address of a store, and never what is in it.
func CheckAddress(address string) error {
	if address == "" || strings.HasPrefix(address, "postgres://") || strings.HasPrefix(address, "postgresql://") {
		return nil
	}
	return errors.New("want postgres://USER@HOST/DATABASE; without it events are kept in the data directory")
}

// Open opens the store that address names: a postgres:// URL, or the SQLite file in dir for "". It makes the tables and
// brings older ones up to date.
func Open(ctx context.Context, dir, address string) (*Store, error) {
	if err := CheckAddress(address); err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	if address == "" {
		return OpenSQLite(dir)
	}
	return openPostgres(ctx, address)
}

// Close ends what is under way.
func (s *Store) Close() error { return s.engine.close() }

// Take stores what continues the device's epoch and answers what is then held, durably.
func (s *Store) Take(ctx context.Context, a Arrival) (Held, error) {
	t, err := s.take(ctx, a)
	return t.held, err
}

// take answers what became of the arrival.
func (s *Store) take(ctx context.Context, a Arrival) (*taking, error) {
	t := &taking{Arrival: a}
	if len(a.Events) == 0 {
		return t, errors.New("store events: there are none")
	}
	if err := s.engine.take(ctx, t); err != nil {
		return &taking{}, fmt.Errorf("store %d events of %s: %w", len(a.Events), a.Device, err)
	}
	if h := t.hole; h != nil {
		return t, s.Record(ctx, audit.EventsLost, audit.Facts{Key: h.Device, Ref: audit.MakeLabel(h.Epoch), From: h.First, To: h.Last,
			Count: int64(h.Last - h.First + 1)}, a.Received)
	}
	return t, nil
}

// patience bounds how long a request waits for the store. What became of it then is not known; asked again, the store
// answers as it would have.
const patience = 15 * time.Second

// tx is one transaction of either database, or a connection outside of any. Queries are written for SQLite, with ?1, ?2 for their arguments.
type tx struct {
	queries
	ctx      context.Context
	postgres bool
}

// queries are what a transaction and a database have in common.
type queries interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}

func (x *tx) text(query string) string {
	if x.postgres {
		return strings.ReplaceAll(query, "?", "$")
	}
	return query
}

// exec answers how many rows were changed.
func (x *tx) exec(query string, args ...any) (int64, error) {
	r, err := x.ExecContext(x.ctx, x.text(query), x.values(args)...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

func (x *tx) row(query string, args ...any) *sql.Row {
	return x.QueryRowContext(x.ctx, x.text(query), x.values(args)...)
}

// each calls f for every row.
func (x *tx) each(f func(*sql.Rows) error, query string, args ...any) error {
	rows, err := x.QueryContext(x.ctx, x.text(query), x.values(args)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// values gives instants and numbers the form that the database keeps them in: SQLite counts microseconds.
func (x *tx) values(args []any) []any {
	for i, a := range args {
		switch v := a.(type) {
		case time.Time:
			if args[i] = v.UnixMicro(); x.postgres {
				args[i] = v.UTC()
			}
		case uint64:
			args[i] = int64(v)
		case audit.Label:
			args[i] = string(v)
		}
	}
	return args
}

// instant is a time as either database gives it; zero for none.
type instant struct{ *time.Time }

// Scan implements sql.Scanner.
func (i instant) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*i.Time = time.Time{}
	case int64:
		*i.Time = time.UnixMicro(v).UTC()
	case time.Time:
		*i.Time = v.UTC()
	default:
		return fmt.Errorf("an instant of type %T", v)
	}
	return nil
}

// AddToken makes a one-time token known, by the hash of its secret.
func (s *Store) AddToken(ctx context.Context, t Token) error {
	return s.engine.write(ctx, func(x *tx) error {
		_, err := x.exec("INSERT INTO tokens (hash, device, expires) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING", t.Hash, t.Device, t.Expires)
		return err
	})
}

// UseToken spends a token and notes its device as enrolled, or fails with ErrToken.
func (s *Store) UseToken(ctx context.Context, hash string, now time.Time) (audit.Label, error) {
	call := rand.Text() // told from others', so that it may be tried again
	return writing(ctx, s.engine, func(x *tx) (device audit.Label, err error) {
		err = x.row(`UPDATE tokens SET used = ?1, call = ?3 WHERE hash = ?2 AND (used IS NULL OR call = ?3) AND expires > ?1
			RETURNING device`, now, hash, call).Scan(&device)
		if errors.Is(err, sql.ErrNoRows) {
			return "", ErrToken
		}
		if err == nil {
			_, err = x.exec("INSERT INTO devices (device, enrolled) VALUES (?1, ?2) ON CONFLICT (device) DO UPDATE SET enrolled = ?2", device, now)
		}
		return device, err
	})
}

// ErrSite is the error of a store that belongs to a collector with other keys.
var ErrSite = errors.New("the store belongs to another collector; give this one the data directory (keys) of that one")

// Owned reports whether the store belongs to a collector.
func (s *Store) Owned(ctx context.Context) (owned bool, err error) {
	err = s.engine.ask(ctx, func(x *tx) error {
		return x.row("SELECT EXISTS (SELECT 1 FROM site WHERE name = 'ack key')").Scan(&owned)
	})
	return owned, err
}

// Adopt makes the store that of the collector with these keys, once and for all.
func (s *Store) Adopt(ctx context.Context, a *Authority) error {
	var owner string
	err := s.engine.write(ctx, func(x *tx) error {
		_, err := x.exec("INSERT INTO site (name, value) VALUES ('ack key', ?1) ON CONFLICT DO NOTHING", a.ackKeyText())
		if err != nil {
			return err
		}
		return x.row("SELECT value FROM site WHERE name = 'ack key'").Scan(&owner)
	})
	if err == nil && owner != a.ackKeyText() {
		return ErrSite
	}
	return err
}
