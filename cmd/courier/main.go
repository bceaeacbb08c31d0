// Command stepaway-courier keeps audit events on this machine and carries them to the collector.
//
// Failure rules: see package cmdline for the command line. Data goes to standard output, the log to standard error.
package main

import (
	"context"
	"flag"
	"os"

	"stepaway/cmdline"
	"stepaway/spool"
)

// version is set by the build.
var version = ""

const self = "stepaway-courier"

// checkVerb is the courier's own: it checks a spool's file in a process that may die of it.
const checkVerb = "check-spool"

func main() {
	if len(os.Args) == 3 && os.Args[1] == checkVerb {
		os.Exit(spool.CheckMain(os.Args[2], os.Stdout))
	}
	os.Exit(cmdline.Program{Name: self, About: "carries the records of stepaway-agent to the collector", Verbs: append([]cmdline.Verb{
		{Name: "run", Line: "keep events and carry them to the collector", Run: run},
		{Name: "enroll", Line: "make this device known to a collector", Run: enroll},
		{Name: "audit", Line: "verify or export the events that wait on this machine", Run: auditVerb},
		sinksVerb(),
		{Name: "status", Line: "spool and collector", Run: status},
		cmdline.VersionVerb(self, version),
	}, systemVerbs...)}.Main(context.Background(), os.Args[1:]))
}

func flags(verb, about string) *flag.FlagSet { return cmdline.Flags(self, verb, about) }
