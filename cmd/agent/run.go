package main

import (
	"errors"
	"flag"
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

func run(args []string) error {
	f := flags("run", "Enforces the policy until it is told to stop (SIGTERM, SIGINT). SIGHUP reads the policy again.")
	var r runFlags
	r.register(f)
	if err := parse(f, args, 0); err != nil {
		return err
	}
	return r.enforce()
}

var errNeedsRoot = errors.New("run needs root to see every session; for your own session only: stepaway-agent run --session")

// promise is what an agent without root cannot promise, in plain words.
var promise = []string{
	"runs as the user it watches: that user can stop it, and input that programs make cannot always be told from hardware",
	"no greeter and no ending of the session as a last resort; locks by the desktop's locker or the fallback of the policy",
}
