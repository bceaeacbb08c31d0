package collector

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"stepaway/group"
)

// sqlite is the embedded engine. One goroutine writes, and commits what waits together; reading goes on beside it.
type sqlite struct {
	path   string
	writer *sql.DB
	reader *sql.DB
	group  *group.Writers[*sqliteJob]
}

// sqliteJob is one caller's part of a transaction.
type sqliteJob struct {
	do  func(*tx) error
	err error
}

// writerSizes: 64 MiB of pages in memory, and a log of 32 MiB before it is folded into the file.
const writerSizes = "_pragma=cache_size(-65536)&_pragma=wal_autocheckpoint(8192)"

const storeFile = "collector.db"

// OpenSQLite opens the embedded store in dir, which must exist.
func OpenSQLite(dir string) (*Store, error) {
	path := filepath.Join(dir, storeFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // SQLite gives its other files the same mode
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	f.Close()
	s := &sqlite{path: path}
	if s.writer, err = openSQL(path, "_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=immediate&"+writerSizes, 1); err != nil {
		return nil, err
	}
	if err := migrateSQLite(s.writer); err != nil {
		s.writer.Close()
		return nil, fmt.Errorf("prepare the store %s: %w", path, err)
	}
	if s.reader, err = openSQL(path, "_pragma=query_only(1)", 4); err != nil {
		s.writer.Close()
		return nil, err
	}
	s.group = group.New(1, maxStoreGroup, s.commit)
	return &Store{s}, nil
}

func openSQL(path, options string, conns int) (*sql.DB, error) {
	name := "file:" + (&url.URL{Path: path}).EscapedPath() +
		"?_pragma=busy_timeout(10000)&" + options
	db, err := sql.Open("sqlite", name)
	if err != nil {
		return nil, fmt.Errorf("open the store %s: %w", path, err)
	}
	db.SetMaxOpenConns(conns)
	if err := db.Ping(); err != nil {
		db.Close()
		return nil, fmt.Errorf("open the store %s: %w", path, err)
	}
	return db, nil
}

// busy reports whether an error is that somebody else has the file.
func busy(err error) bool {
	var e *driver.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY
}

// migrateSQLite brings the tables up to date, in one transaction. Whoever comes at the same time waits.
func migrateSQLite(db *sql.DB) error {
	var version int
	if err := db.QueryRow("PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if rest, err := steps("sqlite", version); err != nil || len(rest) == 0 {
		return err
	}
	x, err := db.Begin()
	if err != nil {
		return err
	}
	defer x.Rollback()
	if err := x.QueryRow("PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	rest, err := steps("sqlite", version)
	for _, step := range rest {
		version++
		if _, err := x.Exec(step); err != nil {
			return fmt.Errorf("make version %d of the schema: %w", version, err)
		}
	}
	if err != nil || len(rest) == 0 {
		return err
	}
	if _, err := x.Exec(fmt.Sprintf("PRAGMA user_version = %d", version)); err != nil {
		return err
	}
	return x.Commit()
}

func (s *sqlite) close() error {
	s.group.Close()
	return errors.Join(s.reader.Close(), s.writer.Close())
}

// maxStoreGroup is how many callers share one commit at most.
const maxStoreGroup = 64

// commit runs the jobs in one transaction. When one of them fails, each gets a transaction of its own, so that none
// suffers for another.
func (s *sqlite) commit(js []*sqliteJob) error {
	err := s.transact(js)
	if err == nil || len(js) == 1 {
		return err
	}
	for _, j := range js {
		j.err = s.transact([]*sqliteJob{j})
	}
	return nil
}

func (s *sqlite) transact(js []*sqliteJob) error {
	t, err := s.writer.Begin()
	if err != nil {
		return err
	}
	for _, j := range js {
		if err := j.do(&tx{queries: t, ctx: context.Background()}); err != nil {
			return errors.Join(err, t.Rollback())
		}
	}
	return t.Commit()
}

func (s *sqlite) write(ctx context.Context, f func(*tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	j := &sqliteJob{do: f}
	if err := s.group.Do(ctx, j); err != nil {
		return err
	}
	return j.err
}

func (s *sqlite) read(ctx context.Context, f func(*tx) error) error {
	t, err := s.reader.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("read the store: %w", err)
	}
	defer t.Rollback()
	return f(&tx{queries: t, ctx: ctx})
}

func (s *sqlite) ask(ctx context.Context, f func(*tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return f(&tx{queries: s.reader, ctx: ctx})
}

func (s *sqlite) take(ctx context.Context, t *taking) error {
	return s.write(ctx, func(x *tx) error { return takeAll(sqliteShelf{x}, []*taking{t}, true) })
}

// sqliteShelf is a transaction that has the whole store for itself.
type sqliteShelf struct{ *tx }

func (x sqliteShelf) heads(ts []*taking) error {
	for _, t := range ts {
		err := x.row("SELECT first, last, hash FROM epochs WHERE device = ?1 AND epoch = ?2", t.Device, t.Epoch).
			Scan(&t.first, &t.held.Last, &t.held.Hash)
		if t.known = err == nil; err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
	}
	return nil
}

func (x sqliteShelf) stored(t *taking) (map[uint64]string, error) { return stored(x.tx, t) }

// stored answers the hashes of those events of t that are held or were removed.
func stored(x *tx, t *taking) (map[uint64]string, error) {
	from, to := t.Events[0].Seq, t.Events[len(t.Events)-1].Seq
	hashes := map[uint64]string{}
	err := x.each(func(rows *sql.Rows) error {
		var first, last uint64
		err := rows.Scan(&first, &last)
		for n := max(first, from); n <= min(last, to); n++ {
			hashes[n] = removed
		}
		return err
	}, "SELECT first, last FROM removals WHERE device = ?1 AND epoch = ?2 AND NOT aside", t.Device, t.Epoch)
	if err != nil {
		return nil, err
	}
	err = x.each(func(rows *sql.Rows) error {
		var seq uint64
		var hash string
		err := rows.Scan(&seq, &hash)
		hashes[seq] = hash
		return err
	}, "SELECT seq, hash FROM events WHERE device = ?1 AND epoch = ?2 AND seq BETWEEN ?3 AND ?4", t.Device, t.Epoch, from, to)
	return hashes, err
}

func (x sqliteShelf) put(ts []*taking) error {
	for _, t := range ts {
		err := x.events("INSERT INTO events", t, t.insert)
		if err == nil && len(t.aside) > 0 {
			err = x.aside(t)
		}
		if err == nil && t.moved {
			err = x.save(t)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (x sqliteShelf) events(insert string, t *taking, es []Event) error {
	if len(es) == 0 {
		return nil
	}
	st, err := x.PrepareContext(x.ctx, insert+" (device, epoch, seq, hash, type, wall, received, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
	if err != nil {
		return err
	}
	defer st.Close()
	received := t.Received.UnixMicro()
	for _, e := range es {
		_, err := st.ExecContext(x.ctx, string(t.Device), t.Epoch, int64(e.Seq), e.Hash, string(e.Type), e.Wall.UnixMicro(), received, e.Body)
		if err != nil {
			return err
		}
	}
	return nil
}

func (x sqliteShelf) aside(t *taking) error {
	var n int
	if err := x.row("SELECT count(*) FROM conflicts WHERE device = ?1", t.Device).Scan(&n); err != nil || n >= maxAside {
		return err
	}
	return x.events("INSERT OR IGNORE INTO conflicts", t, t.aside)
}

func (x sqliteShelf) save(t *taking) error {
	_, err := x.exec(`INSERT INTO epochs (device, epoch, first, last, hash, since) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
		ON CONFLICT DO UPDATE SET last = ?4, hash = ?5`, t.Device, t.Epoch, t.first, t.held.Last, t.held.Hash, t.Received)
	if err != nil {
		return err
	}
	_, err = x.exec("INSERT INTO devices (device, enrolled, seen) VALUES (?1, ?2, ?2) ON CONFLICT DO UPDATE SET seen = ?2", t.Device, t.Received)
	if err != nil || t.hole == nil {
		return err
	}
	h := t.hole
	_, err = x.exec("INSERT INTO holes (device, epoch, first, last, noticed) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
		h.Device, h.Epoch, h.First, h.Last, h.Noticed)
	return err
}
