package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"text/tabwriter"
	"time"

	"stepaway/clock"
	"stepaway/cmdline"
	"stepaway/doctor"
	"stepaway/link"
	"stepaway/policy/file"
)

// errFails is the error of a diagnosis in which something fails. What fails was printed.
var errFails = errors.New("something fails; see above")

func diagnose(ctx context.Context, args []string) error {
	f := flags("doctor", "Looks for what keeps this workstation from being locked in time, or from asking for a password afterwards, and says what to do. "+
		"Changes nothing. As "+whoGuardsAll+" it sees everything. Exits 1 if something fails.")
	asJSON := f.Bool("json", false, "print JSON")
	var r runFlags
	f.StringVar(&r.policy, "policy", "", "policy `FILE` (default "+defaultPolicy+")")
	f.StringVar(&r.state, "state", "", "state `DIR` of an agent that was started with one")
	if _, err := cmdline.Parse(f, args); err != nil {
		return err
	}
	m, err := machine(systemPaths(r.policy, r.state))
	if err != nil {
		return err
	}
	fs := doctor.Diagnose(ctx, m)
	if *asJSON {
		err = printJSON(map[string]any{"findings": fs, "failed": doctor.Failed(fs)})
	} else {
		err = printFindings(fs)
	}
	if err == nil && doctor.Failed(fs) {
		err = errFails
	}
	return err
}

// machine is this workstation.
func machine(p paths) (*doctor.Machine, error) {
	program, err := beside("stepaway-agent")
	if err != nil {
		return nil, err
	}
	m := &doctor.Machine{UID: looker(), Version: cmdline.Version(version), Policy: p.policy, State: p.state, Courier: p.courier,
		Runtime: p.runtime, Programs: filepath.Dir(program), Synced: clock.Synced, Locker: isLocker}
	site := policySite(p.policy, 0)
	v := file.Look(site, &file.Keep{Path: p.lastGood()}, time.Now())
	m.InForce, m.From, m.Wrong = v.Loaded.Policy, v.From, v.Err
	if _, wrong, err := site.Signers(&m.InForce); err != nil {
		m.Problems = append(m.Problems, err.Error())
	} else {
		for _, w := range wrong {
			m.Problems = append(m.Problems, w.String())
		}
	}
	m.Status = sync.OnceValues(func() (link.Status, error) { return askStatus(p.socket) })
	return m, nil
}

func printFindings(fs []doctor.Finding) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, f := range fs {
		fmt.Fprintf(w, "%s\t%s\t%s\n", f.Verdict, f.ID, f.Saw)
		if f.Do != "" {
			fmt.Fprintf(w, "\t\t-> %s\n", f.Do)
		}
	}
	return w.Flush()
}
