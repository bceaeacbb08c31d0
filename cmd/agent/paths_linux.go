package main

import (
	"fmt"
	"os"
	"path/filepath"
)

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

func (p paths) lastInput() string { return filepath.Join(p.runtime, "input.json") }

// groups is where the groups that users had last are kept.
func (p paths) groups() string { return filepath.Join(p.state, "groups.json") }
