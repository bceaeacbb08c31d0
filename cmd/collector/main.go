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
		{Name: "devices", Line: "list the devices and what is held of each", Run: devices},
		{Name: "events", Line: "print events", Run: events},
		{Name: "verify", Line: "check every event and every chain", Run: verify},
		{Name: "report", Line: "sum up by device", Run: reportVerb},
		cmdline.VersionVerb(self, version),
	}}.Main(ctx, os.Args[1:]))
}

func flags(verb, about string) *flag.FlagSet { return cmdline.Flags(self, verb, about) }

// dataFlag names the data directory.
func dataFlag(fs *flag.FlagSet) *string {
	return fs.String("data", "/var/lib/stepaway-collector", "data `directory`")
}

// withStore opens the store of a collector that exists.
func withStore(dir string, f func(*collector.Authority, collector.Store) error) error {
	a, err := collector.Load(dir)
	if err != nil {
		return err
	}
	s, err := collector.OpenSQLite(dir)
	if err != nil {
		return err
	}
	return errors.Join(f(a, s), s.Close())
}
