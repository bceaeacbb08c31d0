package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	"stepaway/link"
	"stepaway/policy"
)

// Machine is what is looked at, and by whom.
type Machine struct {
	Root    string // directory that stands for /; "" is /
	UID     int    // who looks, 0 for root or an elevated administrator; what only they may see is said to be unseen by others
	Version string // of this program

	Policy, State, Courier, Runtime string // paths of the agent, as in docs/attack-surface.md
	Programs                        string // directory of the programs

	InForce  policy.Policy
	From     string   // where it came from
	Wrong    error    // why the sources were not taken, nil if they were
	Problems []string // lines of the signers' file that do not count

	Status func() (link.Status, error)                                            // asks the running agent, in bounded time
	Run    func(ctx context.Context, name string, args ...string) ([]byte, error) // runs a program of the system; nil: Command
	Synced func() bool                                                            // whether the wall clock is kept in step
	Locker func(exe string) bool                                                  // whether a program counts as a locker in front of the screen
}

// maxText bounds what is read of one file.
const maxText = 1 << 20

// run runs a program of the system, for at most a few seconds.
func (m *Machine) run(ctx context.Context, name string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, within*2/3)
	defer cancel()
	if m.Run != nil {
		return m.Run(ctx, name, args...)
	}
	return Command(ctx, name, args...)
}

// Command runs a program with a clean environment and gives what it prints, at most as much as a file is read.
func Command(ctx context.Context, name string, args ...string) ([]byte, error) {
	path, err := exec.LookPath(name)
	if filepath.IsAbs(name) {
		path, err = name, nil
	}
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env, cmd.Dir, cmd.WaitDelay = environ(), filepath.Dir(path), time.Second
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w%s", filepath.Base(name), err, lastLine(err))
	}
	return out[:min(len(out), maxText)], err
}

// lastLine is the last line that a program that failed wrote on standard error.
func lastLine(err error) string {
	var exit *exec.ExitError
	if !errors.As(err, &exit) || len(bytes.TrimSpace(exit.Stderr)) == 0 {
		return ""
	}
	lines := bytes.Split(bytes.TrimSpace(exit.Stderr), []byte("\n"))
	return ": " + string(lines[len(lines)-1])
}

// decode reads JSON that a program printed.
func decode(out []byte, into any) error {
	if err := json.Unmarshal(out, into); err != nil {
		return fmt.Errorf("not understood: %w", err)
	}
	return nil
}
