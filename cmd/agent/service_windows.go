package main

import (
	"context"
	"log/slog"
	"os"
	"runtime/debug"

	"stepaway/cmdline"
	"stepaway/installer"
	"stepaway/journal"
	"stepaway/packaging"
	"stepaway/scm"
)

// systemVerbs are the commands that only this system has.
var systemVerbs = []cmdline.Verb{
	{Name: "selftest", Line: "try this installation on this machine, and print a report", Run: runSelftest},
	{Name: packaging.ServiceVerb, Line: "enforce, started by the service manager", Run: runService},
	{Name: packaging.EndVerb, Line: "end what still runs, when the programs are replaced or removed", Run: endPrograms},
	probeVerb,
}

func runService(_ context.Context, args []string) error {
	f := flags(packaging.ServiceVerb, "Enforces the policy as the service "+packaging.AgentService+". Only the service manager can start it; in front it is `run`.")
	var r runFlags
	r.registerPaths(f)
	if _, err := cmdline.Parse(f, args); err != nil {
		return err
	}
	debug.SetMemoryLimit(memory)
	log, flush := serviceLog()
	defer flush()
	return scm.Run(packaging.AgentService, func(ctx context.Context, ready func()) error {
		err := r.serve(ctx, log, ready)
		if err != nil {
			log.Error("cannot start", "error", err)
		}
		return err
	})
}

// memory is what the agent holds at most before it looks for what it can give back, in bytes; as the unit for systemd says.
const memory = 64 << 20

// serve is one run as a service.
func (r *runFlags) serve(ctx context.Context, log *slog.Logger, ready func()) error {
	p, err := r.paths()
	if err != nil {
		return err
	}
	if r.state == "" {
		err = installer.MakeDirs(packaging.DataDir())
	} else {
		err = p.make()
	}
	if err != nil {
		return err
	}
	a := &agent{flags: r, paths: p, log: log, ready: ready}
	return a.run(ctx)
}

// serviceLog is the event log; without it, standard error, which a service manager throws away. flush writes what was logged
// last.
func serviceLog() (log *slog.Logger, flush func()) {
	events, err := journal.Open(packaging.EventSource)
	if err != nil {
		return newLog(os.Stderr), func() {}
	}
	return slog.New(journal.EventHandler{Log: events}), events.Flush
}
