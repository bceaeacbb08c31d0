package main

import (
	"context"
	"fmt"

	"stepaway/cmdline"
	"stepaway/collector"
)

func backup(ctx context.Context, args []string) error {
	fs := flags("backup", "Writes a copy of the store in the data directory to a new file. The collector may go on meanwhile. What was\n"+
		"acknowledged before it begins is in the copy. The keys in the data directory are not: copy them once.\n"+
		"PostgreSQL has tools of its own: pg_dump, pg_basebackup.")
	at := placeFlags(fs)
	to := fs.String("to", "", "`file` to write, which must not exist")
	if _, err := cmdline.Parse(fs, args); err != nil {
		return err
	}
	if *to == "" {
		return cmdline.Wrong(fs, "--to is missing")
	}
	return withStore(ctx, at, func(_ *collector.Authority, s *collector.Store) error {
		if err := s.Backup(ctx, *to); err != nil {
			return err
		}
		fmt.Println("written and checked:", *to)
		return nil
	})
}

func restore(_ context.Context, args []string) error {
	fs := flags("restore", "Puts a copy that backup wrote in the place of the store in the data directory, which is kept beside it. The\n"+
		"collector must not run. Tokens that were not used yet become worthless. What was acknowledged after the\n"+
		"copy was made is missed when couriers come again, and `verify` says so.")
	data := fs.String("data", "/var/lib/stepaway-collector", "data `directory`")
	from := fs.String("from", "", "`file` that backup wrote")
	if _, err := cmdline.Parse(fs, args); err != nil {
		return err
	}
	if *from == "" {
		return cmdline.Wrong(fs, "--from is missing")
	}
	a, err := collector.Load(*data)
	if err != nil {
		return err
	}
	old, err := collector.RestoreSQLite(*data, *from, a)
	if err != nil {
		return err
	}
	if old != "" {
		fmt.Println("the store from before is now", old)
	}
	fmt.Println("restored; start the collector, and revoke again what was revoked since the copy was made")
	return nil
}
