//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"stepaway/audit"
	"stepaway/test/desktop"
)

// contender is a program that locks after a time without input.
type contender struct {
	name    string
	limit   time.Duration // the shortest that it takes, for the measurement of lateness
	screens int           // measured at once, each on a screen of its own
	fresh   bool          // started anew for every deadline
	note    string
	open    func(path string) (screen, error)
	// watch starts it with a locker: a program that records when it was started.
	watch func(s screen, limit time.Duration, locker []string) (*desktop.Process, error)
	// asked tells from its own records how late it first asked for the lock, in milliseconds; nil where it keeps none.
	asked func(s screen) (float64, error)
}

func plainX(path string) (screen, error) { return newX(path, false) }

// peers are the programs that clinics could use today.
func peers() []contender {
	return []contender{{
		name: "xautolock", limit: time.Minute, screens: 68, open: plainX,
		note: "takes whole minutes only",
		watch: func(s screen, limit time.Duration, locker []string) (*desktop.Process, error) {
			return launch(s, "xautolock", "-time", strconv.Itoa(int(limit.Minutes())), "-locker", strings.Join(locker, " "))
		},
	}, {
		name: "xss-lock", limit: 5 * time.Second, screens: 20, fresh: true, open: plainX,
		note: "started anew for each deadline: without logind it aborts after the first",
		watch: func(s screen, limit time.Duration, locker []string) (*desktop.Process, error) {
			if _, err := s.input(); err != nil { // ends a screen saver that is on, at which it would abort as well
				return nil, err
			}
			if out, err := s.command("xset", "s", strconv.Itoa(int(limit.Seconds())), "0").CombinedOutput(); err != nil {
				return nil, fmt.Errorf("xset: %w: %s", err, out)
			}
			return launch(s, "xss-lock", append([]string{"--"}, locker...)...)
		},
	}, {
		name: "swayidle", limit: 5 * time.Second, screens: 8, open: newSway,
		note: "under sway, headless; the instant of input is known to some milliseconds",
		watch: func(s screen, limit time.Duration, locker []string) (*desktop.Process, error) {
			return launch(s, "swayidle", "timeout", strconv.Itoa(int(limit.Seconds())), strings.Join(locker, " "))
		},
	}}
}

const policyText = `limit: %v
warning: %v
action: lock
lock: {proof: claim, fallback: [/bin/sh, -c, "exec %s"]}
`

// ours is the enforcer from bin, in a session of its own on an X display. The directory of programs that it runs
// from decides whether courier and tray come with it.
func ours(bin string) contender {
	return contender{
		name: "stepaway-agent", limit: 5 * time.Second, screens: 20, fresh: true, open: plainX,
		note: "started anew for each deadline, so that no lock is left from the one before",
		watch: func(s screen, limit time.Duration, locker []string) (*desktop.Process, error) {
			state := filepath.Join(s.dir(), "state")
			if err := os.RemoveAll(state); err != nil {
				return nil, err
			}
			if err := os.Mkdir(state, 0o700); err != nil {
				return nil, err
			}
			policy := filepath.Join(state, "policy.yaml")
			// The agent starts no locker from a directory that others may write, such as /tmp: hence the shell,
			// which xautolock and swayidle use as well.
			text := fmt.Sprintf(policyText, limit, limit/2, strings.Join(locker, " "))
			if err := os.WriteFile(policy, []byte(text), 0o600); err != nil {
				return nil, err
			}
			return watched(s, filepath.Join(bin, "stepaway-agent"), "run", "--session", "--policy", policy, "--state", state)
		},
		asked: func(s screen) (float64, error) {
			out, err := s.command(filepath.Join(bin, "stepaway-courier"), "audit", "export", "--format", "json",
				"--state", filepath.Join(s.dir(), "state")).Output()
			if err != nil {
				return 0, fmt.Errorf("stepaway-courier audit export: %w", err)
			}
			return firstRequest(out)
		},
	}
}

// firstRequest finds the first lock.requested among events, one a line, and how late it was.
func firstRequest(lines []byte) (ms float64, err error) {
	for line := range bytes.Lines(lines) {
		var e audit.Event
		if err := json.Unmarshal(line, &e); err != nil {
			return 0, fmt.Errorf("a line of stepaway-courier audit export: %w", err)
		}
		if e.Type == audit.LockRequested && e.Facts != nil && e.Facts.LateMS != nil {
			return float64(*e.Facts.LateMS), nil
		}
	}
	return 0, errors.New("no lock.requested among the agent's records")
}

// watched starts a program as its unit does: with a watchdog to answer.
func watched(s screen, program string, args ...string) (*desktop.Process, error) {
	manager := filepath.Join(s.dir(), "notify")
	_ = os.Remove(manager)
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: manager, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("stand in for the service manager: %w", err)
	}
	// The shell names the one process that is watched: its children inherit the rest.
	cmd := s.command("sh", append([]string{"-c", `WATCHDOG_PID=$$ exec "$@"`, "sh", program}, args...)...)
	cmd.Env = append(cmd.Environ(), "NOTIFY_SOCKET="+manager, "WATCHDOG_USEC=15000000")
	p, err := desktop.Launch(s.dir(), filepath.Base(program), cmd)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	go func() {
		<-p.Done()
		l.Close()
	}()
	go func() { // a service manager reads
		for b := make([]byte, 512); ; {
			if _, err := l.Read(b); err != nil {
				return
			}
		}
	}()
	return p, nil
}

func launch(s screen, name string, args ...string) (*desktop.Process, error) {
	if _, err := exec.LookPath(name); err != nil {
		return nil, fmt.Errorf("%s is not there: run `make deps`", name)
	}
	return desktop.Launch(s.dir(), filepath.Base(name), s.command(name, args...))
}
