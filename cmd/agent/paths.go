package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// paths are the files of one agent.
type paths struct {
	policy  string // policy.yaml; policy.d is beside it
	state   string // the agent's own directory, only for its owner
	courier string // the courier's directory; with --state it is shared, so that enrolling names the same one
	runtime string // socket and last input
	socket  string
}

// systemPaths are those of the service; state, if given, takes everything that is written.
func systemPaths(policy, state string) paths {
	p := paths{policy: "/etc/stepaway/policy.yaml", state: "/var/lib/stepaway/agent", courier: "/var/lib/stepaway/courier",
		runtime: "/run/stepaway"}
	return p.with(policy, state)
}

// sessionPaths are those of run --session, under the user's own directories.
func sessionPaths(policy, state string) (paths, error) {
	base := os.Getenv("XDG_STATE_HOME")
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil && state == "" {
			return paths{}, errors.New("no home directory; name one with --state DIR")
		}
		base = filepath.Join(home, ".local/state")
	}
	base = filepath.Join(base, "stepaway")
	p := paths{state: filepath.Join(base, "agent"), courier: filepath.Join(base, "courier"), runtime: filepath.Join(base, "run")}
	if r := os.Getenv("XDG_RUNTIME_DIR"); r != "" {
		p.runtime = filepath.Join(r, "stepaway")
	}
	p.policy = "/etc/stepaway/policy.yaml"
	return p.with(policy, state), nil
}

func (p paths) with(policy, state string) paths {
	if state != "" {
		p.state, p.courier, p.runtime = filepath.Join(state, "agent"), state, filepath.Join(state, "run")
	}
	if policy != "" {
		p.policy = policy
	}
	p.socket = filepath.Join(p.runtime, "link.sock")
	return p
}

func (p paths) lastGood() string { return filepath.Join(p.state, "policy.good.json") }

// beside is the path of another program of the same installation.
func beside(name string) (string, error) {
	self, err := os.Executable()
	if err == nil {
		self, err = filepath.EvalSymlinks(self)
	}
	if err != nil {
		return "", fmt.Errorf("find own program: %w", err)
	}
	return filepath.Join(filepath.Dir(self), name), nil
}
