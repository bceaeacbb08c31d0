package collector

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"stepaway/group"
)

// postgres is the engine for fleets. Several collectors may use one database: whoever adds to an epoch has its row
// locked, and whatever is tried again gives what it would have given once.
type postgres struct {
	pool  *pgxpool.Pool
	db    *sql.DB // the same pool, for what both engines say alike
	group *group.Writers[*taking]

	mu     sync.Mutex
	months map[time.Time]bool // partitions known to be there
}

// Bounds of what one collector asks of the database.
const (
	pgConns   = 12 // unless the URL says pool_max_conns
	pgWriters = 4  // connections that take events
	pgGroup   = 32 // arrivals in one commit at most
	pgTries   = 5 * time.Second
)

// pgSettings hold for every connection: what is acknowledged is on disk there, and nothing waits without end.
var pgSettings = map[string]string{
	"application_name":                    "stepaway-collector",
	"synchronous_commit":                  "on",
	"statement_timeout":                   "20s",
	"lock_timeout":                        "10s",
	"idle_in_transaction_session_timeout": "30s",
	"timezone":                            "UTC",
}

func openPostgres(ctx context.Context, address string) (*Store, error) {
	config, err := pgConfig(address)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, pgAdvice(err, config.ConnConfig)
	}
	p := &postgres{pool: pool, db: stdlib.OpenDBFromPool(pool), months: map[time.Time]bool{}}
	if err := p.prepare(ctx); err != nil {
		p.db.Close()
		pool.Close()
		return nil, pgAdvice(err, config.ConnConfig)
	}
	p.group = group.New(pgWriters, pgGroup, p.commit)
	return &Store{p}, nil
}

// prepare brings the tables up to date and makes partitions ahead.
func (p *postgres) prepare(ctx context.Context) error {
	var fsync string
	err := p.retry(ctx, func(ctx context.Context) error { return p.pool.QueryRow(ctx, "SHOW fsync").Scan(&fsync) })
	if err != nil {
		return err
	}
	if fsync != "on" {
		return errors.New("the server runs with fsync = off, and would lose in a power cut what was acknowledged; set fsync = on there")
	}
	if err := p.retry(ctx, p.migrate); err != nil {
		return err
	}
	return p.ahead(ctx)
}

// pgLock is the advisory lock of everything that changes tables.
const pgLock = 0x5374657061776179 // "Stepaway"

// migrate brings the tables up to date, in one transaction. Whoever comes at the same time waits.
func (p *postgres) migrate(ctx context.Context) error {
	return pgx.BeginFunc(ctx, p.pool, func(x pgx.Tx) error {
		if _, err := x.Exec(ctx, "SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0"); err != nil {
			return err
		}
		if _, err := x.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(pgLock)); err != nil {
			return err
		}
		var there bool
		if err := x.QueryRow(ctx, "SELECT to_regclass('schema_version') IS NOT NULL").Scan(&there); err != nil {
			return err
		}
		version := 0
		if there {
			if err := x.QueryRow(ctx, "SELECT max(version) FROM schema_version").Scan(&version); err != nil {
				return err
			}
		} else if _, err := x.Exec(ctx, "CREATE TABLE schema_version (version int PRIMARY KEY, since timestamptz NOT NULL DEFAULT now())"); err != nil {
			return err
		}
		rest, err := steps("postgres", version)
		for _, step := range rest {
			version++
			if _, err := x.Exec(ctx, step); err != nil {
				return fmt.Errorf("make version %d of the schema: %w", version, err)
			}
			if _, err := x.Exec(ctx, "INSERT INTO schema_version (version) VALUES ($1)", version); err != nil {
				return err
			}
		}
		return err
	})
}

func (p *postgres) close() error {
	p.group.Close()
	err := p.db.Close()
	p.pool.Close()
	return err
}

// retry runs f again where what failed may pass: a conflict with others, or a connection that broke. What f does must be
// the same done once or twice. No new try begins after pgTries.
func (p *postgres) retry(ctx context.Context, f func(context.Context) error) error {
	end := time.Now().Add(pgTries)
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		err := f(ctx)
		if err == nil || ctx.Err() != nil || !passing(err) || time.Now().Add(wait).After(end) {
			return err
		}
		select {
		case <-time.After(wait/2 + rand.N(wait)):
		case <-ctx.Done():
			return err
		}
	}
}

// passing reports whether the same may succeed when it is tried again.
func passing(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return brokenConn(err)
	}
	switch pg.Code {
	case "40001", "40P01", "55P03", // serialization, deadlock, lock not had in time
		"57P01", "57P02", "57P03", "25006": // shutting down, crashed, starting up; a standby
		return true
	}
	return strings.HasPrefix(pg.Code, "08") || strings.HasPrefix(pg.Code, "53")
}

func (p *postgres) write(ctx context.Context, f func(*tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return p.retry(ctx, func(ctx context.Context) error { return p.transact(ctx, nil, f) })
}

func (p *postgres) ask(ctx context.Context, f func(*tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return p.retry(ctx, func(ctx context.Context) error { return f(&tx{queries: p.db, ctx: ctx, postgres: true}) })
}

// read may take long, as verifying does: no timeout applies but that of ctx.
func (p *postgres) read(ctx context.Context, f func(*tx) error) error {
	return p.transact(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}, func(x *tx) error {
		if err := x.takeTime(); err != nil {
			return err
		}
		return f(x)
	})
}

// takeTime lets the statements of a transaction take as long as they need.
func (x *tx) takeTime() error {
	for _, name := range []string{"statement_timeout", "idle_in_transaction_session_timeout"} {
		if _, err := x.exec("SET LOCAL " + name + " = 0"); err != nil {
			return err
		}
	}
	return nil
}

func (p *postgres) transact(ctx context.Context, o *sql.TxOptions, f func(*tx) error) error {
	t, err := p.db.BeginTx(ctx, o)
	if err != nil {
		return err
	}
	if err := f(&tx{queries: t, ctx: ctx, postgres: true}); err != nil {
		_ = t.Rollback() // of a connection that may be broken; then the server does it
		return err
	}
	return t.Commit()
}

func (p *postgres) take(ctx context.Context, t *taking) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := p.group.Do(ctx, t); err != nil {
		return err
	}
	return t.err
}

// commit takes arrivals together. When that fails for more than one, each is taken by itself, so that none suffers for
// another.
func (p *postgres) commit(ts []*taking) error {
	slices.SortStableFunc(ts, func(a, b *taking) int { // the order in which rows are locked, everywhere
		return cmp.Or(strings.Compare(string(a.Device), string(b.Device)), strings.Compare(a.Epoch, b.Epoch))
	})
	err := p.takeRetry(ts)
	if err == nil || len(ts) == 1 || passing(err) {
		return err
	}
	for _, t := range ts {
		t.err = p.takeRetry([]*taking{t})
	}
	return nil
}
