package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"stepaway/audit"
	"stepaway/clock"
	"stepaway/cmdline"
	"stepaway/courier"
	"stepaway/link"
	"stepaway/spool"
	"stepaway/uplink"
)

// state is the courier's directory.
type state string

func stateFlag(fl *flag.FlagSet) *string {
	return fl.String("state", defaultState, "the courier's `directory`")
}

func (s state) identity() string { return filepath.Join(string(s), "identity") }
func (s state) spool() string    { return filepath.Join(string(s), "spool") }
func (s state) sinks() string    { return filepath.Join(string(s), "sinks.json") }
func (s state) status() string   { return filepath.Join(string(s), "status.json") }

// said is what the running courier leaves for the status command.
type said struct {
	At       time.Time      `json:"at"`
	ClockOff *time.Duration `json:"clock_off,omitempty"` // wall clock ahead of the collector's; nil until that was heard
	link.Courier
}

// say replaces the status file. It is a convenience: nothing depends on it.
func (s state) say(c link.Courier, peer *courier.Client) error {
	v := said{At: time.Now().UTC(), Courier: c}
	if peer != nil {
		if off, known := peer.Clock().Off(); known {
			v.ClockOff = &off
		}
	}
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	next := s.status() + ".new"
	if err := os.WriteFile(next, body, 0o600); err != nil {
		return err
	}
	return os.Rename(next, s.status())
}

func (s state) heard() (said, error) {
	var v said
	f, err := os.Open(s.status())
	if err != nil {
		return v, err
	}
	defer f.Close()
	return v, uplink.Decode(f, uplink.MaxAnswer, &v)
}

// snapshot copies the spool to a file that it removes afterwards, checks it and hands it to f. found says
// what is in it when err is spool.ErrDamaged.
func (s state) snapshot(f func(path string) error) (found spool.Found, err error) {
	if _, err := os.Stat(filepath.Join(s.spool(), "spool.db")); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return found, fmt.Errorf("no spool in %s; has the courier run? name its directory with --state", s.spool())
		}
		return found, err
	}
	dir, err := os.MkdirTemp("", "stepaway-spool-")
	if err != nil {
		return found, fmt.Errorf("copy the spool: %w", err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "spool.db")
	if err := spool.Snapshot(s.spool(), path); err != nil {
		return found, err
	}
	if found, err = checker()(path); err != nil {
		return found, err
	}
	return found, f(path)
}

// checker checks a spool's file in a child of this program, or here where there is no starting one.
func checker() func(string) (spool.Found, error) {
	self, err := os.Executable()
	if err != nil {
		return spool.Check
	}
	return spool.InChild(self, checkVerb)
}

// stamper makes events of the courier's own.
func stamper() func(audit.Type) audit.Event {
	boot, _ := clock.BootID()
	return func(t audit.Type) audit.Event {
		severity, _ := audit.SeverityOf(t)
		return audit.Event{V: audit.Version, Type: t, Boot: boot, Wall: time.Now().UTC(), BootMS: clock.Now().Milliseconds(),
			Synced: clock.Synced(), Agent: string(audit.MakeLabel(cmdline.Version(version))), Severity: severity, Outcome: audit.Success}
	}
}
