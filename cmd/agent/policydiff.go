package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"text/tabwriter"

	"stepaway/cmdline"
	"stepaway/policy"
)

// errWeaker ends `policy diff` where the second policy is weaker.
var errWeaker = errors.New("weaker than the first")

// difference is one setting that two policies do not share.
type difference struct {
	Key string `json:"key"`
	Old any    `json:"old"`
	New any    `json:"new"`
}

func policyDiff(_ context.Context, args []string) error {
	f := flags("policy diff A B", "Says what differs between two policy files, each with the policy.d beside it, and what is weaker in the second. Exit 1 if anything is.")
	asJSON := f.Bool("json", false, "print JSON")
	files, err := cmdline.Parse(f, args, "A", "B")
	if err != nil {
		return err
	}
	var ps [2]policy.Policy
	for i, path := range files {
		if path == "" {
			return cmdline.Wrong(f, "name two policy files")
		}
		l, err := fileAlone(path).Load()
		if err != nil {
			return explain(err)
		}
		ps[i] = l.Policy
	}
	changed, weaker := differences(&ps[0], &ps[1]), policy.Relaxes(&ps[0], &ps[1])
	if *asJSON {
		err = printJSON(map[string]any{"changed": changed, "weaker": append([]policy.Relaxation{}, weaker...)})
	} else {
		err = printDiff(changed, weaker)
	}
	if err == nil && len(weaker) > 0 {
		err = fmt.Errorf("%s is %w in %d points", files[1], errWeaker, len(weaker))
	}
	return err
}

func differences(a, b *policy.Policy) []difference {
	out := []difference{}
	for _, d := range policy.Definitions {
		if was, is := d.Value(a), d.Value(b); !reflect.DeepEqual(was, is) {
			out = append(out, difference{d.Key, was, is})
		}
	}
	return out
}

func printDiff(changed []difference, weaker []policy.Relaxation) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, c := range changed {
		fmt.Fprintf(w, "changed\t%s\t%s\t->\t%s\n", c.Key, oneLine(c.Old), oneLine(c.New))
	}
	for _, r := range weaker {
		fmt.Fprintf(w, "weaker\t%s\t%s\t->\t%s\n", r.Key, r.Old, r.New)
	}
	if len(changed) == 0 {
		fmt.Fprintln(w, "no difference")
	} else if len(weaker) == 0 {
		fmt.Fprintln(w, "nothing is weaker")
	}
	return w.Flush()
}
