package main

import (
	"path/filepath"

	"stepaway/packaging"
)

// Defaults of the flags.
var (
	defaultState = filepath.Join(packaging.DataDir(), "courier")
	defaultLink  = packaging.LinkPipe
	defaultSinks = filepath.Join(packaging.DataDir(), "sinks.yaml")
)

// runtimeFor is the runtime directory of the agent that has the same --state. A pipe is in none.
func runtimeFor(dir, _ string) string {
	if dir == defaultState {
		dir = packaging.DataDir()
	}
	return filepath.Join(dir, "run")
}

// enrolling is what to watch for enrolment: the identity's directory, from above. Who watches a directory does not see that
// another takes its place.
func (s state) enrolling() string { return s.identity() }

// giveAway has nothing to do: the permissions of the courier's directory hold for what is put in it.
func giveAway(string) error { return nil }
