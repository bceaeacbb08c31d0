//go:build linux

package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // to have its file for ourselves
)

// busy: the store stands still for a while when many devices come at once. Those beyond what a collector works on at a
// time are told when to come again, and keep to it.
func (r *run) busy(ctx context.Context, store string) error {
	f, err := r.fleet(ctx, store)
	if err != nil {
		return err
	}
	v, err := f.site.serve(f.site.data, "")
	if err != nil {
		return err
	}
	defer f.site.stop()
	err = all(f.members, func(_ int, m *member) error { // a first use of a certificate would wait for the store as well
		p, err := m.peer(&meter{}, v.url)
		if err != nil {
			return err
		}
		defer p.close()
		return p.Probe(ctx)
	})
	if err != nil {
		return err
	}
	released := make(chan error, 1)
	held := make(chan struct{})
	go func() { released <- f.site.hold(ctx, 6*time.Second, held) }()
	select {
	case <-held:
	case err := <-released:
		return err
	}
	if err := r.stormAt(ctx, f, v, "busy", 10); err != nil {
		return err
	}
	return <-released
}

// hold has the store for itself for some time. held is closed when it has.
func (s *site) hold(ctx context.Context, d time.Duration, held chan<- struct{}) error {
	driver, name, lock := "sqlite", "file:"+(&url.URL{Path: filepath.Join(s.data, "collector.db")}).EscapedPath()+"?_pragma=busy_timeout(10000)", "BEGIN IMMEDIATE"
	if s.kind == "postgres" {
		driver, name, lock = "pgx", s.storeURL(), "BEGIN; LOCK TABLE epochs IN ACCESS EXCLUSIVE MODE"
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		return err
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, lock); err != nil {
		return fmt.Errorf("take the store: %w", err)
	}
	close(held)
	pause(ctx, d)
	_, err = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
	return err
}
