package collector

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver

	"stepaway/audit"
)

const schema = `
CREATE TABLE IF NOT EXISTS tokens (hash TEXT PRIMARY KEY, device TEXT NOT NULL, expires INTEGER NOT NULL,
	used INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS devices (device TEXT PRIMARY KEY, enrolled INTEGER NOT NULL, seen INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS epochs (device TEXT NOT NULL, epoch TEXT NOT NULL, first INTEGER NOT NULL,
	last INTEGER NOT NULL, hash TEXT NOT NULL, since INTEGER NOT NULL, PRIMARY KEY (device, epoch)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (device TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL, hash TEXT NOT NULL,
	type TEXT NOT NULL, wall INTEGER NOT NULL, received INTEGER NOT NULL, body BLOB NOT NULL,
	PRIMARY KEY (device, epoch, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS conflicts (device TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL, hash TEXT NOT NULL,
	type TEXT NOT NULL, wall INTEGER NOT NULL, received INTEGER NOT NULL, body BLOB NOT NULL,
	PRIMARY KEY (device, epoch, seq, hash)) WITHOUT ROWID;
PRAGMA user_version = 1;
`

// sqliteStore writes on one goroutine, which commits what waits together, and reads beside it.
type sqliteStore struct {
	write *sql.DB
	read  *sql.DB
	jobs  chan *storeJob
	quit  chan struct{}
	done  chan struct{}
	once  sync.Once
}

type storeJob struct {
	do   func(*sql.Tx) error
	err  error
	done chan struct{}
}

const storeFile = "collector.db"

// OpenSQLite opens the embedded store in dir, which must exist.
func OpenSQLite(dir string) (Store, error) {
	path := filepath.Join(dir, storeFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // SQLite gives its other files the same mode
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	f.Close()
	s := &sqliteStore{jobs: make(chan *storeJob), quit: make(chan struct{}), done: make(chan struct{})}
	if s.write, err = openSQL(path, "&_txlock=immediate&_pragma=synchronous(FULL)", 1); err != nil {
		return nil, err
	}
	if err = prepare(s.write); err == nil {
		_, err = s.write.Exec(identitySchema)
	}
	if err != nil {
		s.write.Close()
		return nil, fmt.Errorf("prepare the store %s: %w", path, err)
	}
	if s.read, err = openSQL(path, "&_pragma=query_only(1)", 4); err != nil {
		s.write.Close()
		return nil, err
	}
	go s.run()
	return s, nil
}

// schemaVersion is what PRAGMA user_version says when the schema is there.
const schemaVersion = 1

// prepare makes the tables, once.
func prepare(db *sql.DB) error {
	var version int
	if err := db.QueryRow("PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	switch {
	case version == schemaVersion:
		return nil
	case version > schemaVersion:
		return fmt.Errorf("its schema has version %d, this program knows %d; use the newer program", version, schemaVersion)
	}
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	if _, err := tx.Exec(schema); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

func openSQL(path, options string, conns int) (*sql.DB, error) {
	name := "file:" + (&url.URL{Path: path}).EscapedPath() +
		"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)" + options
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

func (s *sqliteStore) Close() error {
	var err error
	s.once.Do(func() {
		close(s.quit)
		<-s.done
		err = errors.Join(s.read.Close(), s.write.Close())
	})
	return err
}

func (s *sqliteStore) run() {
	defer close(s.done)
	for {
		select {
		case j := <-s.jobs:
			s.commit(s.gather(j))
		case <-s.quit:
			return
		}
	}
}

// maxStoreGroup is how many batches share one commit at most.
const maxStoreGroup = 64

func (s *sqliteStore) gather(j *storeJob) []*storeJob {
	js := []*storeJob{j}
	for len(js) < maxStoreGroup {
		select {
		case j := <-s.jobs:
			js = append(js, j)
		default:
			return js
		}
	}
	return js
}

func (s *sqliteStore) commit(js []*storeJob) {
	err := s.transact(js)
	for _, j := range js {
		if err != nil {
			j.err = err
		}
		close(j.done)
	}
}

func (s *sqliteStore) transact(js []*storeJob) error {
	tx, err := s.write.Begin()
	if err != nil {
		return err
	}
	for _, j := range js {
		j.err = j.do(tx)
		if j.err != nil && !errors.Is(j.err, ErrToken) && !errors.Is(j.err, ErrDevice) {
			return errors.Join(j.err, tx.Rollback())
		}
	}
	return tx.Commit()
}

var errStoreClosed = errors.New("store closed")

// submit waits for the commit, whatever ctx says once the writer has the job: its fate must be known.
func (s *sqliteStore) submit(ctx context.Context, do func(*sql.Tx) error) error {
	j := &storeJob{do: do, done: make(chan struct{})}
	select {
	case s.jobs <- j:
		<-j.done
		return j.err
	case <-ctx.Done():
		return ctx.Err()
	case <-s.quit:
		return errStoreClosed
	}
}

func (s *sqliteStore) AddToken(ctx context.Context, t Token) error {
	return s.submit(ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec("INSERT INTO tokens (hash, device, expires) VALUES (?, ?, ?)", t.Hash, t.Device, t.Expires.UnixMicro())
		return err
	})
}

func (s *sqliteStore) UseToken(ctx context.Context, hash string, now time.Time) (device audit.Label, err error) {
	err = s.submit(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRow("UPDATE tokens SET used = ?1 WHERE hash = ?2 AND used IS NULL AND expires > ?1 RETURNING device",
			now.UnixMicro(), hash).Scan(&device)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrToken
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec("INSERT INTO devices (device, enrolled) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET enrolled = ?2",
			device, now.UnixMicro())
		return err
	})
	return device, err
}
