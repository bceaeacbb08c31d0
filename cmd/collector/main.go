// Command stepaway-collector takes the records of workstations, keeps them and answers questions about them.
//
// Failure rules: see package cmdline for the command line. Data goes to standard output, the log to standard error.
package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/signal"
	"syscall"

	"stepaway/cmdline"
	"stepaway/collector"
)

// version is set by the build.
var version = ""

const self = "stepaway-collector"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	os.Exit(cmdline.Program{Name: self, About: "takes and keeps the records of workstations", Verbs: []cmdline.Verb{
		{Name: "init", Line: "make the data directory, the CA and the keys", Run: initVerb},
		{Name: "serve", Line: "take events from couriers", Run: serve},
		{Name: "token", Line: "make a one-time token for a device to enroll with", Run: token},
		{Name: "revoke", Line: "refuse a device from now on", Run: revoke},
		{Name: "devices", Line: "list the devices and what is held of each", Run: devices},
		{Name: "events", Line: "print events", Run: events},
		{Name: "verify", Line: "check every event and every chain", Run: verify},
		{Name: "report", Line: "sum up by device", Run: reportVerb},
		sinksVerb(),
		{Name: "retain", Line: "remove events that were kept for long enough", Run: retain},
		{Name: "backup", Line: "write a copy of the store in the data directory, while it is used", Run: backup},
		{Name: "restore", Line: "put such a copy back", Run: restore},
		cmdline.VersionVerb(self, version),
	}}.Main(ctx, os.Args[1:]))
}

func flags(verb, about string) *flag.FlagSet { return cmdline.Flags(self, verb, about) }

// place is where a collector's keys and its store are.
type place struct {
	data, store string
	fs          *flag.FlagSet
}

// placeFlags are the flags that every command has.
func placeFlags(fs *flag.FlagSet) *place {
	at := &place{fs: fs}
	fs.StringVar(&at.data, "data", "/var/lib/stepaway-collector", "data `directory`: keys, and events unless --store is given")
	fs.StringVar(&at.store, "store", "", "`URL` of a PostgreSQL database to keep events in, postgres://USER@HOST/DATABASE; its password\n"+
		"belongs into the file that PGPASSFILE names, or into PGPASSWORD")
	return at
}

// withStore opens the store of a collector that exists.
func withStore(ctx context.Context, at *place, f func(*collector.Authority, *collector.Store) error) error {
	if err := collector.CheckAddress(at.store); err != nil {
		return cmdline.Wrong(at.fs, "--store: %v", err)
	}
	a, err := collector.Load(at.data)
	if err != nil {
		return err
	}
	s, err := collector.Open(ctx, at.data, at.store)
	if err != nil {
		return err
	}
	if err = s.Adopt(ctx, a); err == nil {
		err = f(a, s)
	}
	return errors.Join(err, s.Close())
}
