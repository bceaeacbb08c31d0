package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"

	"stepaway/link"
	"stepaway/packaging"
)

const suffix = ".exe" // of a program's file name

// Defaults of the flags.
var (
	defaultPolicy = filepath.Join(packaging.DataDir(), "policy.yaml")
	defaultDirs   = packaging.DataDir()
)

// systemPaths are those of the service; state, if given, takes everything that is written.
func systemPaths(policy, state string) paths {
	data := packaging.DataDir()
	p := paths{policy: defaultPolicy, state: filepath.Join(data, "agent"), courier: filepath.Join(data, "courier"),
		runtime: filepath.Join(data, "run"), socket: packaging.LinkPipe}
	return p.with(policy, state)
}

// sessionPaths are those of run --session, under the user's own directory for what stays on this machine.
func sessionPaths(policy, state string) (paths, error) {
	base, err := windows.KnownFolderPath(windows.FOLDERID_LocalAppData, 0)
	if err != nil && state == "" {
		return paths{}, errors.New("no directory of the user's own; name one with --state DIR")
	}
	base = filepath.Join(base, packaging.DataName)
	p := paths{policy: defaultPolicy, state: filepath.Join(base, "agent"), courier: filepath.Join(base, "courier"), runtime: filepath.Join(base, "run")}
	p.socket = link.Socket(p.runtime)
	return p.with(policy, state), nil
}

// make makes the directories. Those of the service were made by its installation, with their permissions.
func (p paths) make() error {
	for _, dir := range []string{p.state, p.runtime} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make a directory of the agent: %w", err)
		}
	}
	return nil
}
