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

// busy: the store stands still when many devices come at once, until one of them was told when to come again. Those beyond
// what a collector works on at a time are told so, and keep to it.
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
	peers, err := f.peers(v.url)
	if err != nil {
		return err
	}
	// A first use of a certificate would wait for the store as well, and handshakes take too long to come at once.
	if err := atOnce(16, peers, func(p *peer) error { return p.Probe(ctx) }); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	released := make(chan error, 1)
	held := make(chan struct{})
	go func() { released <- f.site.hold(ctx, held, peers[0].told) }()
	select {
	case <-held:
	case err := <-released:
		return err
	}
	if err := r.stormAt(ctx, f, v, peers, "busy", 10, 100*time.Millisecond); err != nil {
		return err
	}
	return <-released
}

// hold has the store for itself until come says so, or for a minute, which is longer than the collector waits. held
// is closed when it has.
func (s *site) hold(ctx context.Context, held chan<- struct{}, come func() bool) error {
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
	for until := time.Now().Add(time.Minute); !come() && time.Now().Before(until) && ctx.Err() == nil; {
		pause(ctx, 50*time.Millisecond)
	}
	_, err = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
	return err
}
