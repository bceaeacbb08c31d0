package main

import (
	"context"
	"os"

	"stepaway/cmdline"
	"stepaway/probe"
)

// probeVerb is this program as its own eyes and hands in a session.
var probeVerb = cmdline.Verb{Name: probe.Verb, Line: "see the input of one desktop, started by the service", Run: runProbe}

func runProbe(_ context.Context, args []string) error {
	f := flags(probe.Verb, "Sees the input of one desktop and tells the service, which starts it by itself in every session.")
	lock := f.Bool(probe.LockFlag, false, "lock this desktop and end")
	if _, err := cmdline.Parse(f, args); err != nil {
		return err
	}
	if *lock {
		return probe.LockHere()
	}
	return probe.Run(os.Stdin, os.Stdout)
}
