package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"stepaway/link"
)

const (
	suffix        = "" // of a program's file name
	defaultPolicy = "/etc/stepaway/policy.yaml"
	defaultDirs   = "/var/lib/stepaway and /run/stepaway"
)

// systemPaths are those of the service; state, if given, takes everything that is written.
func systemPaths(policy, state string) paths {
	p := paths{policy: defaultPolicy, state: "/var/lib/stepaway/agent", courier: "/var/lib/stepaway/courier",
		runtime: "/run/stepaway"}
	p.socket = link.Socket(p.runtime)
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
	p := paths{policy: defaultPolicy, state: filepath.Join(base, "agent"), courier: filepath.Join(base, "courier"), runtime: filepath.Join(base, "run")}
	if r := os.Getenv("XDG_RUNTIME_DIR"); r != "" {
		p.runtime = filepath.Join(r, "stepaway")
	}
	p.socket = link.Socket(p.runtime)
	return p.with(policy, state), nil
}

// maxSocket is the longest path of a unix socket on Linux, its end included.
const maxSocket = 108

// make makes the directories: the state for its owner only, the runtime directory open to peers.
func (p paths) make() error {
	if len(p.socket) >= maxSocket {
		return fmt.Errorf("%s is too long for a socket; name a shorter --state", p.socket)
	}
	if err := os.MkdirAll(p.state, 0o700); err != nil {
		return fmt.Errorf("make the state directory: %w", err)
	}
	if err := os.MkdirAll(p.runtime, 0o755); err != nil {
		return fmt.Errorf("make the runtime directory: %w", err)
	}
	return nil
}

// groups is where the groups that users had last are kept.
func (p paths) groups() string { return filepath.Join(p.state, "groups.json") }
