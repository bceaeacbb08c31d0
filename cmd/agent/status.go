package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"stepaway/cmdline"
	"stepaway/link"
	"stepaway/metrics"
)

func status(_ context.Context, args []string) error {
	f := flags("status", "Prints the sessions that the agent guards: a user sees his own, root sees all.")
	asJSON := f.Bool("json", false, "print JSON")
	asMetrics := f.Bool("prometheus", false, "print the metrics that the agent also writes to a file, see docs/operate.md")
	state := f.String("state", "", "state `DIR` of an agent that was started with one")
	session := f.Bool("session", false, "ask the agent of run --session")
	if _, err := cmdline.Parse(f, args); err != nil {
		return err
	}
	if *asJSON && *asMetrics {
		return cmdline.Wrong(f, "--json and --prometheus exclude one another")
	}
	p := systemPaths("", *state)
	if *session {
		var err error
		if p, err = sessionPaths("", *state); err != nil {
			return err
		}
	}
	st, err := askStatus(p.socket)
	if err != nil {
		return err
	}
	switch {
	case *asJSON:
		return printJSON(st)
	case *asMetrics:
		_, err := fmt.Print(metrics.Text(st, time.Now()))
		return err
	}
	return printStatus(st)
}

// askStatus asks the agent behind the socket.
func askStatus(socket string) (link.Status, error) {
	c, err := dialStatus(socket)
	if err != nil {
		return link.Status{}, fmt.Errorf("no agent answers on %s; is the service running, and are --session and --state as it was started? (%w)", socket, err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	if err := link.Write(c, link.Message{Hello: &link.Hello{Role: link.RoleStatus, Version: cmdline.Version(version)}}); err != nil {
		return link.Status{}, fmt.Errorf("ask the agent: %w", err)
	}
	if err := link.Write(c, link.Message{Ask: &link.Ask{}}); err != nil {
		return link.Status{}, fmt.Errorf("ask the agent: %w", err)
	}
	m, err := link.Read(c)
	switch {
	case err != nil:
		return link.Status{}, fmt.Errorf("ask the agent: %w", err)
	case m.Status == nil:
		return link.Status{}, fmt.Errorf("the agent is busy; try again")
	}
	return *m.Status, nil
}

func printStatus(st link.Status) error {
	fmt.Printf("stepaway-agent %s, policy %.12s, %d events waiting, %d dropped\n", st.Version, st.Policy, st.Waiting, st.Dropped)
	if c := st.Courier; c != nil {
		fmt.Printf("courier: spool %s up to %d, collector has %d and is %s %s\n", c.Epoch, c.Head, c.Acked, c.Collector, c.Code)
	} else {
		fmt.Println("courier: not connected; events wait in the agent")
	}
	for _, l := range st.Limits {
		fmt.Println("note:", l)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SESSION\tUSER\tKIND\tSEAT\tSTATE\tIDLE\tDUE IN\tLIMIT\tPROOF\tTRAY")
	for _, s := range st.Sessions {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%v\n", s.ID, s.User, s.Kind, orDash(s.Seat), s.State.Phase,
			idleText(s), ms(s.State.DeadlineMS-st.NowMS), ms(s.State.LimitMS), s.Proof, s.Tray)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, s := range st.Sessions {
		fmt.Println(strings.TrimSpace(s.ID + ": " + s.Why))
	}
	return nil
}

func idleText(s link.SessionStatus) string {
	if !s.Readable {
		return "unreadable"
	}
	return ms(s.IdleMS)
}

func ms(n int64) string { return (time.Duration(n) * time.Millisecond).Round(time.Second).String() }

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
