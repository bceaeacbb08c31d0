package main

import "path/filepath"

// Defaults of the flags.
const (
	defaultState = "/var/lib/stepaway/courier"
	defaultLink  = "/run/stepaway/link.sock"
	defaultSinks = "/etc/stepaway/sinks.yaml"
)

// runtimeFor is the runtime directory of the agent with this socket: the one that the socket is in.
func runtimeFor(_, socket string) string { return filepath.Dir(socket) }

// enrolling is what to watch for enrolment: a file in the identity's directory, whose own end is seen too.
func (s state) enrolling() string { return filepath.Join(s.identity(), "collector.json") }
