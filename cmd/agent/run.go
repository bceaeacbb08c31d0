package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/signal"
	"syscall"

	"stepaway/cmdline"
)

// runFlags are the flags of run.
type runFlags struct {
	policy, state string
	session       bool
	systemFlags
}

func (r *runFlags) register(f *flag.FlagSet) {
	r.registerPaths(f)
	f.BoolVar(&r.session, "session", false, "guard only the session this is started in; needs no root, and says what it cannot promise")
}

func (r *runFlags) registerPaths(f *flag.FlagSet) {
	f.StringVar(&r.policy, "policy", "", "policy `FILE`; policy.d is beside it (default "+defaultPolicy+")")
	f.StringVar(&r.state, "state", "", "`DIR` for everything that is written (default "+defaultDirs+", or the user's own with --session)")
	r.registerSystem(f)
}

func run(_ context.Context, args []string) error {
	f := flags("run", "Enforces the policy until it is told to stop (SIGTERM, SIGINT). SIGHUP reads the policy again.")
	var r runFlags
	r.register(f)
	if _, err := cmdline.Parse(f, args); err != nil {
		return err
	}
	return r.enforce()
}

func (r *runFlags) enforce() error {
	p, err := r.paths()
	if err != nil {
		return err
	}
	if err := p.make(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	a := &agent{flags: r, paths: p, log: newLog(os.Stderr)}
	return a.run(ctx)
}

func (r *runFlags) paths() (paths, error) {
	if r.session {
		return sessionPaths(r.policy, r.state)
	}
	if !privileged() {
		return paths{}, errors.New("run needs " + whoGuardsAll + " to see every session; for your own session only: stepaway-agent run --session")
	}
	return systemPaths(r.policy, r.state), nil
}
