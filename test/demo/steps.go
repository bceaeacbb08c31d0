//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"stepaway/audit"
	"stepaway/link"
	"stepaway/test/desktop"
)

// The demonstration's limit, and the warning that the agent makes of five minutes: at most half of the limit.
const (
	limit   = 20 * time.Second
	warning = limit / 2
	grace   = 15 * time.Second // for a record to reach the collector, on a busy machine
)

type demo struct {
	bin, out, pictures, dir string
	began                   time.Time
	desk                    *desktop.Desktop
	collector, agent        *desktop.Process
	person                  bool // somebody sits at the desktop: real hardware, real lock
	url                     string
	number                  int      // of the last step
	seen                    []string // what happened, for the summary
}

// say prints one numbered step.
func (d *demo) say(format string, args ...any) {
	d.number++
	fmt.Printf("\n[%3.0f s] %d. %s\n", time.Since(d.began).Seconds(), d.number, fmt.Sprintf(format, args...))
}

// note records that something promised did happen.
func (d *demo) note(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	d.seen = append(d.seen, line)
	fmt.Println("        ✓", line)
}

func (d *demo) openDesktop(virtual bool) (err error) {
	if !virtual {
		d.desk = desktop.Own(d.dir)
	}
	if d.desk != nil {
		d.say("Your own desktop %s is used. IT WILL BE LOCKED in about %v. Ctrl-C now if that is not what you want.", d.desk.Display, warning+limit)
		return nil
	}
	d.say("A private virtual desktop is started: Xvfb, a session bus, xfwm4, xfce4-panel, dunst.")
	d.desk, err = desktop.New(d.dir, desktop.Options{Width: 1280, Height: 800, Bus: true, Panel: true})
	if err != nil {
		return err
	}
	fmt.Println("        display", d.desk.Display)
	return nil
}

func (d *demo) startCollector(ctx context.Context) error {
	address, err := freePort()
	if err != nil {
		return err
	}
	d.url = "https://" + address
	d.say("The central collector is made and started at %s.", d.url)
	if _, err := d.tool("stepaway-collector", "init", "--data", d.path("collector")); err != nil {
		return err
	}
	d.collector, err = d.start("stepaway-collector", "serve", "--data", d.path("collector"), "--listen", address)
	if err != nil {
		return err
	}
	return d.until(ctx, "the collector to listen", 20*time.Second, d.collector, func() (bool, error) {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil, nil
	})
}

func freePort() (address string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func (d *demo) enroll(context.Context) error {
	d.say("This workstation is enrolled with a one-time token, which carries the fingerprint of the collector's CA.")
	out, err := d.tool("stepaway-collector", "token", "--data", d.path("collector"), "demo-workstation")
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	_, err = d.tool("stepaway-courier", "enroll", "--collector", d.url, "--token", lines[len(lines)-1], "--state", d.path("state"))
	return err
}

const policy = `# The demonstration's policy: a clinic would say 15m.
limit: %v
warning: 5m
action: lock
lock: {proof: locker, fallback: [%s, -n, -c, "204060"]}
collector: {url: "%s"}
`

func (d *demo) startAgent(ctx context.Context) error {
	locker, err := exec.LookPath("i3lock")
	if err != nil {
		return errors.New("i3lock is not there: run `make deps`")
	}
	text := fmt.Sprintf(policy, limit, locker, d.url)
	if err := os.WriteFile(d.path("policy.yaml"), []byte(text), 0o600); err != nil {
		return err
	}
	d.say("The agent is started for this session only, with this policy:")
	fmt.Print(indent(text))
	d.agent, err = d.start("stepaway-agent", "run", "--session", "--policy", d.path("policy.yaml"), "--state", d.path("state"))
	if err != nil {
		return err
	}
	if _, err := d.await(ctx, audit.AgentStart, 1, grace); err != nil {
		return err
	}
	d.note("agent.start reached the collector")
	return d.lookForPerson(ctx)
}

// lookForPerson asks the agent whether the desktop has hardware. Where it has none, nobody can sit at it.
func (d *demo) lookForPerson(ctx context.Context) error {
	return d.until(ctx, "the agent to see the session's input", grace, d.agent, func() (bool, error) {
		out, err := d.status("--json")
		if err != nil {
			return false, nil // not listening yet
		}
		var st link.Status
		if err := json.Unmarshal([]byte(out), &st); err != nil {
			return false, fmt.Errorf("stepaway-agent status --json: %w", err)
		}
		if len(st.Sessions) != 1 || !st.Sessions[0].Readable {
			return false, nil
		}
		d.person = !strings.Contains(st.Sessions[0].Why, "no hardware on this display")
		return true, nil
	})
}

// status asks the agent.
func (d *demo) status(args ...string) (string, error) {
	return d.tool("stepaway-agent", append([]string{"status", "--session", "--state", d.path("state")}, args...)...)
}

func (d *demo) awaitWarning(ctx context.Context) error {
	d.say("Nobody touches anything. After %v the warning comes.", limit-warning)
	if _, err := d.await(ctx, audit.WarningShown, 1, limit+grace); err != nil {
		return err
	}
	if err := d.picture("warning", true); err != nil {
		return err
	}
	d.note("the warning was shown: %s", filepath.Join(d.out, "warning.png"))
	out, err := d.status()
	if err != nil {
		return err
	}
	fmt.Print(indent("$ stepaway-agent status\n" + out))
	return nil
}

// carryOn is a person who continues: any input will do. Where the desktop has no hardware, injected input is all
// there is, and it counts; where it has, a person has to do it.
func (d *demo) carryOn(ctx context.Context) error {
	if !d.person {
		d.say("The pointer is moved: that is input, so the session continues.")
		if err := d.desk.Move(-240, -100); err != nil {
			return err
		}
	} else {
		d.say("MOVE THE MOUSE NOW: that is input, so the session continues.")
	}
	if _, err := d.await(ctx, audit.WarningCleared, 1, warning+grace); err != nil {
		return fmt.Errorf("the warning was not taken back: %w", err)
	}
	d.note("input took the warning back")
	return d.picture("continued", false)
}

func (d *demo) stepAway(ctx context.Context) error {
	d.say("Now the user steps away. The warning comes again, and %v after the last input the desktop locks.", limit)
	if _, err := d.await(ctx, audit.WarningShown, 2, limit+grace); err != nil {
		return err
	}
	d.note("the warning was shown again")
	e, err := d.await(ctx, audit.LockProved, 1, limit+grace)
	if err != nil {
		return err
	}
	if err := d.pictureLock(); err != nil {
		return err
	}
	d.note("the desktop is locked: %s", filepath.Join(d.out, "locked.png"))
	f := e.Facts
	if f == nil || f.Proof == "" || f.Proof == "none" {
		return errors.New("lock.proved names no proof")
	}
	d.note("proof: %s, by rung %s%s", f.Proof, f.Rung, lateness(f))
	return nil
}

// pictureLock takes a picture of the lock. Where nobody sits, a key is pressed, so that the locker shows itself.
func (d *demo) pictureLock() error {
	if !d.person {
		if err := d.desk.Run("xdotool", "key", "x"); err != nil {
			return err
		}
	}
	return d.picture("locked", true)
}

// lateness says how long after the deadline the lock was proved.
func lateness(f *audit.Facts) string {
	if f.LateMS == nil {
		return ""
	}
	return fmt.Sprintf(", %d ms after the deadline", *f.LateMS)
}

func (d *demo) showRecords(context.Context) error {
	d.say("What the collector holds:")
	for _, args := range [][]string{{"events"}, {"verify"}} {
		out, err := d.tool("stepaway-collector", append(args, "--data", d.path("collector"))...)
		if err != nil {
			return err
		}
		fmt.Print(indent("$ stepaway-collector " + args[0] + "\n" + out))
	}
	events, err := d.events()
	if err != nil {
		return err
	}
	d.note("%d records at the collector, their chain verified", len(events))
	return nil
}

func (d *demo) summary() {
	fmt.Printf("\nWhat you saw, in %.0f seconds:\n", time.Since(d.began).Seconds())
	for _, s := range d.seen {
		fmt.Println("  ✓", s)
	}
	if d.person {
		fmt.Println("Your desktop stays locked until you give your password. Everything else that was started has ended.")
		return
	}
	fmt.Println("Everything that was started has ended.")
}
