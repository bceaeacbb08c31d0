package collector

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Backup writes a copy of the embedded store to a new file, as it is at one moment, while others go on writing.
func (s *Store) Backup(ctx context.Context, to string) error {
	e, embedded := s.engine.(*sqlite)
	if !embedded {
		return errors.New("the store is PostgreSQL: back it up with pg_dump or pg_basebackup")
	}
	if err := e.backup(ctx, to); err != nil {
		return fmt.Errorf("back up to %s: %w", to, err)
	}
	return nil
}

func (s *sqlite) backup(ctx context.Context, to string) error {
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(errors.New("a file is there already; choose another one"), err)
	}
	part := to + ".part"
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) // SQLite fills an empty file
	if err != nil {
		return err
	}
	defer os.Remove(part)
	defer f.Close()
	db, err := openSQL(s.path, "_pragma=query_only(0)", 1)
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", part); err != nil {
		return err
	}
	if err := check(part); err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), os.Rename(part, to)); err != nil {
		return err
	}
	return syncDir(filepath.Dir(to))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// check reads a whole file that nobody else uses, and fails if it is no sound store of a version that is known.
func check(path string) error {
	db, err := openFile(path)
	if err != nil {
		return err
	}
	defer db.Close()
	var said string
	if err := db.QueryRow("PRAGMA quick_check(1)").Scan(&said); err != nil {
		return fmt.Errorf("check %s: %w", path, err)
	}
	if said != "ok" {
		return fmt.Errorf("check %s: it is damaged: %s", path, said)
	}
	var version int
	if err := db.QueryRow("PRAGMA user_version").Scan(&version); err != nil {
		return fmt.Errorf("check %s: %w", path, err)
	}
	if version == 0 {
		return fmt.Errorf("check %s: it is no store of a collector", path)
	}
	if _, err = steps("sqlite", version); err != nil {
		return fmt.Errorf("check %s: %w", path, err)
	}
	return nil
}

// RestoreSQLite puts a copy that Backup wrote in the place of the store in dir, which is renamed, and answers the new
// name. It fails while somebody uses the store, and where the copy is that of a collector with other keys.
func RestoreSQLite(dir, from string, a *Authority) (old string, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("restore %s: %w", from, err)
		}
	}()
	path := filepath.Join(dir, storeFile)
	next := path + ".new"
	if err := copyFile(from, next); err != nil {
		return "", err
	}
	defer os.Remove(next)
	if err := check(next); err != nil {
		return "", err
	}
	if err := own(next, a); err != nil {
		return "", err
	}
	if err := unused(path); err != nil {
		return "", err
	}
	if _, err := os.Lstat(path); err == nil {
		old = path + time.Now().UTC().Format(".before-20060102-150405")
		for _, suffix := range []string{"-wal", "-shm", ""} { // what is left of a store that cannot be opened, too
			if err := os.Rename(path+suffix, old+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return "", err
			}
		}
	}
	return old, errors.Join(os.Rename(next, path), syncDir(dir))
}

// own makes tokens worthless, which could be used a second time, and looks whose store it is.
func own(path string, a *Authority) error {
	db, err := openFile(path)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := migrateSQLite(db); err != nil {
		return err
	}
	var owner string
	err = db.QueryRow("SELECT value FROM site WHERE name = 'ack key'").Scan(&owner)
	if err == nil && owner != a.ackKeyText() {
		return ErrSite
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	_, err = db.Exec("UPDATE tokens SET used = ? WHERE used IS NULL", time.Now().UnixMicro())
	return err
}

// unused fails while another process has the store open. One that cannot be read is nobody's.
func unused(path string) error {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	db, err := openFile(path)
	if err != nil {
		return nil
	}
	defer db.Close()
	var mode string
	err = db.QueryRow("PRAGMA journal_mode = DELETE").Scan(&mode) // takes the whole file, and what the log holds into it
	if busy(err) || err == nil && mode != "delete" {
		return errors.New("the store is in use; stop the collector first")
	}
	return nil
}

// openFile opens a database file that stands alone.
func openFile(path string) (*sql.DB, error) {
	return openSQL(path, "_pragma=synchronous(FULL)&_txlock=immediate&_pragma=busy_timeout(500)", 1)
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	_ = os.Remove(to)
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}
