//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"stepaway/audit"
	"stepaway/test/desktop"
)

// path of one of the demonstration's own files.
func (d *demo) path(name string) string { return filepath.Join(d.dir, name) }

// tool runs one of our programs to its end and returns what it printed.
func (d *demo) tool(name string, args ...string) (string, error) {
	cmd := d.desk.Command(filepath.Join(d.bin, name), args...)
	var out, bad bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &bad
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, args[0], err, strings.TrimSpace(bad.String()))
	}
	return out.String(), nil
}

// start starts one of our programs; end stops it.
func (d *demo) start(name string, args ...string) (*desktop.Process, error) {
	return desktop.Launch(d.dir, name, d.desk.Command(filepath.Join(d.bin, name), args...))
}

// events returns what the collector holds, in its order.
func (d *demo) events() ([]audit.Event, error) {
	out, err := d.tool("stepaway-collector", "events", "--json", "--data", d.path("collector"))
	if err != nil {
		return nil, err
	}
	var list []audit.Event
	for lines := bufio.NewScanner(strings.NewReader(out)); lines.Scan(); {
		var e audit.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("a line of stepaway-collector events --json: %w", err)
		}
		list = append(list, e)
	}
	return list, nil
}

// await waits until the collector holds the nth event of a type.
func (d *demo) await(ctx context.Context, what audit.Type, nth int, patience time.Duration) (found audit.Event, err error) {
	err = d.until(ctx, fmt.Sprintf("%s (no. %d) at the collector", what, nth), patience, d.agent, func() (bool, error) {
		list, err := d.events()
		n := 0
		for _, e := range list {
			if e.Type == what {
				n, found = n+1, e
			}
		}
		return n >= nth, err
	})
	return found, err
}

// until polls cond until it holds. It gives up after patience, or when the process that should bring it about ends.
func (d *demo) until(ctx context.Context, what string, patience time.Duration, by *desktop.Process, cond func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		ok, err := cond()
		if ok || err != nil {
			return err
		}
		select {
		case <-by.Done():
			return fmt.Errorf("%s ended while waiting for %s", by.Name, what)
		case <-ctx.Done():
			return fmt.Errorf("waited in vain for %s: %w", what, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// picture takes a screenshot, also for the README where that was asked for.
func (d *demo) picture(name string, readme bool) error {
	time.Sleep(700 * time.Millisecond) // what was asked to appear is drawn by another process
	path := filepath.Join(d.out, name+".png")
	if err := d.desk.Picture(path); err != nil {
		return err
	}
	if d.pictures == "" || !readme {
		return nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(d.pictures, name+".png"), b, 0o644)
}

// end stops what was started, last first, and makes sure that nothing is left.
func (d *demo) end() error {
	var errs []error
	locker := d.locker()
	for _, p := range []*desktop.Process{d.agent, d.collector} {
		if p != nil {
			errs = append(errs, p.Stop(10*time.Second))
		}
	}
	if locker != nil && !d.person {
		errs = append(errs, locker.Kill())
	}
	if d.desk == nil {
		return errors.Join(errs...)
	}
	errs = append(errs, d.desk.Close())
	if d.desk.Virtual {
		errs = append(errs, d.nothingLeft())
	}
	return errors.Join(errs...)
}

// locker is a hold on the locker that the agent has started, nil if it has none: it outlives the agent, as it should.
func (d *demo) locker() *os.Process {
	if d.agent == nil {
		return nil
	}
	p, err := os.FindProcess(desktop.Descendants(d.agent.PID())["i3lock"])
	if err != nil || p.Pid <= 1 {
		return nil
	}
	return p
}

// nothingLeft reports processes that still have the demonstration's own home directory in their environment.
func (d *demo) nothingLeft() error {
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		left := d.left()
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("still running: %s", strings.Join(left, ", "))
		}
	}
}

func (d *demo) left() (names []string) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		env, _ := os.ReadFile(filepath.Join(dir, "environ"))
		if bytes.Contains(env, []byte("HOME="+d.path("home")+"\x00")) {
			name, _ := os.ReadFile(filepath.Join(dir, "comm"))
			names = append(names, strings.TrimSpace(string(name)))
		}
	}
	return names
}

// keepLogs saves what the programs wrote, after a failure.
func (d *demo) keepLogs() {
	logs, _ := filepath.Glob(filepath.Join(d.dir, "*.log"))
	for _, path := range logs {
		b, _ := os.ReadFile(path)
		_ = os.WriteFile(filepath.Join(d.out, filepath.Base(path)), b, 0o644)
	}
	for _, p := range []*desktop.Process{d.agent, d.collector} {
		if p != nil {
			fmt.Fprintf(os.Stderr, "--- %s wrote:\n%s", p.Name, p.Output())
		}
	}
	fmt.Fprintln(os.Stderr, "--- all logs are in", d.out)
}

func indent(s string) string {
	return "        | " + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n        | ") + "\n"
}
