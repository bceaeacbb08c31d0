package main

import (
	"context"
	"flag"

	"stepaway/cmdline"
)

// runFlags are the flags of run.
type runFlags struct {
	policy, state string
	session       bool
}

func (r *runFlags) register(f *flag.FlagSet) {
	f.StringVar(&r.policy, "policy", "", "policy `FILE`; policy.d is beside it (default /etc/stepaway/policy.yaml)")
	f.StringVar(&r.state, "state", "", "`DIR` for everything that is written (default /var/lib/stepaway and /run/stepaway, or the user's own with --session)")
	f.BoolVar(&r.session, "session", false, "guard only the session this is started in; needs no root, and says what it cannot promise")
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
