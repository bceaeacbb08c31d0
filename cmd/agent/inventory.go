package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"stepaway/audit"
	"stepaway/clock"
	"stepaway/cmdline"
	"stepaway/enforce"
	"stepaway/inventory"
	"stepaway/link"
)

// audit looks after the installation beside the loop. The agent of one session does not: whoever runs it may change it.
func (a *agent) audit(ctx context.Context, e *enforce.Enforcer) {
	if a.flags.session {
		return
	}
	programs, err := beside("")
	if err != nil {
		a.log.Error("the installation is not looked at", "error", err)
		return
	}
	timer, err := clock.NewTimer()
	if err != nil {
		a.log.Error("the installation is not looked at", "error", err)
		return
	}
	folder := inventory.Folder(a.paths.state)
	asked, err := folder.Requests(ctx)
	if err != nil {
		a.log.Warn("the installation's state is not approved while this agent runs", "error", err)
	}
	w := inventory.Watch{Take: look{filepath.Clean(programs), e}.take, Record: e.Record, Folder: folder,
		Now: clock.Now, Timer: timer, Asked: asked, Log: a.log}
	a.work.Go(func() {
		defer timer.Close()
		w.Run(ctx)
	})
}

// look takes the state of this installation.
type look struct {
	programs string
	e        *enforce.Enforcer
}

func (l look) take(ctx context.Context) inventory.State {
	place := inventory.System(l.programs)
	p, hash, _ := l.e.InForce(ctx)
	if path := p.Approval.AllowedSigners; path != "" {
		place.Files["allowed-signers"] = path
	}
	return place.Take(ctx, string(audit.MakeLabel(cmdline.Version(version))), hash)
}

// stateVerb is `state` with its commands.
var stateVerb = cmdline.Group(self, "state", "show and approve what the installation consists of", []cmdline.Verb{
	{Name: "show", Line: "programs, units and settings in force, and what differs from the approved state", Run: stateShow},
	{Name: "approve", Line: "the present state counts as approved from now on", Run: stateApprove},
})

func stateShow(ctx context.Context, args []string) error {
	f := flags("state show", "Prints what the installation consists of and what differs from the approved state. Needs "+whoGuardsAll+".")
	asJSON := f.Bool("json", false, "print JSON")
	state := f.String("state", "", "state `DIR` of an agent that was started with one")
	if _, err := cmdline.Parse(f, args); err != nil {
		return err
	}
	d, err := openDesk(*state)
	if err != nil {
		return err
	}
	k, err := d.look(ctx)
	if err != nil {
		return err
	}
	if *asJSON {
		return printJSON(map[string]any{"version": k.Present.Version, "at": k.At, "hash": k.Present.Hash(), "approved": k.Approved.Hash(),
			"items": k.Present.Items, "differences": append([]inventory.Difference{}, k.Open...)})
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, name := range k.Present.Names() {
		fmt.Fprintf(w, "%s\t%s\n", name, k.Present.Items[name])
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return printDifferences(k)
}

func printDifferences(k inventory.Kept) error {
	fmt.Printf("\nversion %s, %d items, seen %s, hash %s\n", k.Present.Version, len(k.Present.Items), k.At.Local().Format(time.DateTime), k.Present.Hash())
	if len(k.Open) == 0 {
		fmt.Println("as approved")
		return nil
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "DIFFERS\tWAS\tIS")
	for _, d := range k.Open {
		fmt.Fprintf(w, "%s\t%s\t%s\n", d.Name, d.Old, d.New)
	}
	return w.Flush()
}

func stateApprove(ctx context.Context, args []string) error {
	f := flags("state approve", "Prints what differs from the approved state, and approves the state as it is. Needs "+whoGuardsAll+" and the running agent, which records it.")
	state := f.String("state", "", "state `DIR` of an agent that was started with one")
	if _, err := cmdline.Parse(f, args); err != nil {
		return err
	}
	d, err := openDesk(*state)
	if err != nil {
		return err
	}
	if !d.answered {
		return errors.New("no agent runs that could record the approval; start the service")
	}
	k, err := d.look(ctx)
	if err != nil {
		return err
	}
	if err := printDifferences(k); err != nil || len(k.Open) == 0 {
		return err
	}
	seen := k.Present.Hash()
	if k, err = d.ask(ctx, seen); err != nil {
		return err
	}
	if k.Approved.Hash() != seen {
		return errors.New("the state changed meanwhile; nothing was approved: look again")
	}
	fmt.Println("approved", seen)
	return nil
}

// desk is where an administrator asks the agent about the installation: in its own directory, which only who guards all may enter.
type desk struct {
	folder   inventory.Folder
	answered bool // an agent runs
}

func openDesk(state string) (desk, error) {
	if !privileged() {
		return desk{}, errors.New("state needs " + whoGuardsAll)
	}
	p := systemPaths("", state)
	return desk{inventory.Folder(p.state), link.Answered(p.socket)}, nil
}

// look is what the agent sees now; without an agent, what the last one saw.
func (d desk) look(ctx context.Context) (inventory.Kept, error) {
	if d.answered {
		return d.ask(ctx, "")
	}
	fmt.Fprintln(os.Stderr, "no agent runs; this is what the last one saw")
	k, err := d.folder.Load()
	if errors.Is(err, fs.ErrNotExist) {
		return k, errors.New("no state is kept; start the service")
	}
	return k, err
}

// answerWithin is how long the agent has to look at everything.
const answerWithin = 30 * time.Second

func (d desk) ask(ctx context.Context, approve string) (inventory.Kept, error) {
	r := inventory.Request{Name: rand.Text(), Approve: approve, By: login()}
	if err := d.folder.Ask(r); err != nil {
		return inventory.Kept{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	for ctx.Err() == nil {
		if k, err := d.folder.Load(); err == nil && k.Answers == r.Name {
			return k, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	_ = d.folder.Withdraw() // taken already is as good
	return inventory.Kept{}, errors.New("the agent does not answer; see its log")
}
