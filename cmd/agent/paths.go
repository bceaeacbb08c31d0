package main

import (
	"fmt"
	"os"
	"path/filepath"

	"stepaway/link"
)

// paths are the files of one agent.
type paths struct {
	policy  string // policy.yaml; policy.d is beside it
	state   string // the agent's own directory, only for its owner
	courier string // the courier's directory; with --state it is shared, so that enrolling names the same one
	runtime string // what lasts as long as a boot: last input, and what everybody may know
	socket  string
}

func (p paths) with(policy, state string) paths {
	if state != "" {
		p.state, p.courier, p.runtime = filepath.Join(state, "agent"), state, filepath.Join(state, "run")
		p.socket = link.Socket(p.runtime)
	}
	if policy != "" {
		p.policy = policy
	}
	return p
}

func (p paths) lastGood() string { return filepath.Join(p.state, "policy.good.json") }

func (p paths) lastInput() string { return filepath.Join(p.runtime, "input.json") }

// beside is the path of another program of the same installation; "" is their directory.
func beside(name string) (string, error) {
	self, err := os.Executable()
	if err == nil {
		self, err = filepath.EvalSymlinks(self)
	}
	if err != nil {
		return "", fmt.Errorf("find own program: %w", err)
	}
	if name != "" {
		name += suffix
	}
	return filepath.Join(filepath.Dir(self), name), nil
}
