package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"text/tabwriter"
	"time"

	"stepaway/cmdline"
	"stepaway/policy"
	"stepaway/policy/file"
)

// policyVerb is `policy` with its commands.
var policyVerb = cmdline.Group(self, "policy", "show, check, compare, sign and approve policies", []cmdline.Verb{
	{Name: "show", Line: "each value in force and where it came from; --user NAME: what holds for a user, and why", Run: policyShow},
	{Name: "check", Line: "all that is wrong with a policy file, and what is unwise", Run: policyCheck},
	{Name: "diff", Line: "what differs between two policy files, and what is weaker in the second", Run: policyDiff},
	{Name: "schema", Line: "the JSON Schema of policy.yaml, for editors", Run: policySchema},
	{Name: "sign", Line: "sign a policy as its author", Run: policySign},
	{Name: "approve", Line: "show what is weaker in a policy, and approve it as a second person", Run: policyApprove},
})

// reader is who reads a policy from the command line: root and himself are trusted owners.
func reader() uint32 { return uint32(max(os.Getuid(), 0)) }

func policyShow(ctx context.Context, args []string) error {
	f := flags("policy show", "Prints each value in force and where it came from. Exit 1 if the file is not taken as it stands.")
	path := f.String("policy", defaultPolicy, "policy `FILE`; policy.d is beside it")
	state := f.String("state", "", "state `DIR` of an agent that was started with one")
	user := f.String("user", "", "say what holds for the user of this `NAME`, and why")
	asJSON := f.Bool("json", false, "print JSON")
	if _, err := cmdline.Parse(f, args); err != nil {
		return err
	}
	l, err := inForce(f, *path, systemPaths("", *state).lastGood())
	if *user != "" {
		if err := printUser(ctx, &l.Policy, *user, *asJSON); err != nil {
			return err
		}
	} else if err := printSettings(l, *asJSON); err != nil {
		return err
	}
	if err != nil {
		return explain(err)
	}
	return nil
}

// inForce is what an agent with this policy file enforces, and the error that keeps it from taking the file.
func inForce(f *flag.FlagSet, path, lastGood string) (policy.Loaded, error) {
	v := file.Look(policySite(path, reader()), &file.Keep{Path: lastGood, Owner: reader()}, time.Now())
	switch {
	case v.From == "last good":
		for key, from := range v.Loaded.Source {
			v.Loaded.Source[key] = "last good " + from
		}
	case errors.Is(v.Err, fs.ErrNotExist) && !given(f, "policy"): // the last good policy is not for everybody to read
		v.Err = nil
	case v.Err == nil && v.From == policy.BuiltIn && given(f, "policy"):
		v.Err = fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	return v.Loaded, v.Err
}

func printSettings(l policy.Loaded, asJSON bool) error {
	if asJSON {
		return printJSON(map[string]any{"hash": l.Policy.Hash(), "settings": l.Settings()})
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, s := range l.Settings() {
		fmt.Fprintf(w, "%s\t%s\t%s\n", s.Key, oneLine(s.Value), s.Source)
	}
	return w.Flush()
}

func policyCheck(_ context.Context, args []string) error {
	f := flags("policy check FILE", "Says everything that is wrong with a policy file, and what is unwise. Exit 1 if it would not be taken.")
	asJSON := f.Bool("json", false, "print JSON")
	files, err := cmdline.Parse(f, args, "FILE")
	if err != nil {
		return err
	}
	if files[0] == "" {
		return cmdline.Wrong(f, "name the policy file")
	}
	l, err := fileAlone(files[0]).Load()
	if *asJSON {
		return checkJSON(l, err)
	}
	if err != nil {
		return explain(err)
	}
	for _, a := range advice(l) {
		fmt.Println("note:", a)
	}
	fmt.Println("ok: this policy would be taken; hash", l.Policy.Hash())
	return nil
}

// advice is what is unwise in a policy, and in the file of signers that it names.
func advice(l policy.Loaded) []string {
	out := l.Policy.Advice()
	_, wrong, err := fileAlone("").Signers(&l.Policy)
	if err != nil {
		out = append(out, "approval.allowed_signers: not here, or not usable: "+err.Error())
	}
	for _, p := range wrong {
		out = append(out, fmt.Sprintf("%s:%d: %s", l.Policy.Approval.AllowedSigners, p.Line, p.Text))
	}
	return out
}

func checkJSON(l policy.Loaded, err error) error {
	var ps policy.Problems
	if err != nil && !errors.As(err, &ps) {
		ps = policy.Problems{{Text: err.Error()}}
	}
	out := map[string]any{"ok": err == nil, "problems": append([]policy.Problem{}, ps...)}
	if err == nil {
		out["hash"], out["notes"] = l.Policy.Hash(), append([]string{}, advice(l)...)
	}
	if e := printJSON(out); e != nil {
		return e
	}
	if err != nil {
		return errors.New("this policy would not be taken")
	}
	return nil
}

// fileAlone is a policy file with the policy.d beside it, and nothing else that this system has.
func fileAlone(path string) file.Site {
	return file.Site{Files: file.Source{Path: path, Owner: reader()}}
}

// explain prints every problem on a line of its own; the error counts them.
func explain(err error) error {
	var ps policy.Problems
	if !errors.As(err, &ps) {
		return err
	}
	for _, p := range ps {
		fmt.Fprintln(os.Stderr, p)
	}
	return fmt.Errorf("%d wrong in the policy; nothing of it would be taken", len(ps))
}

func given(f *flag.FlagSet, name string) bool {
	found := false
	f.Visit(func(g *flag.Flag) { found = found || g.Name == name })
	return found
}

func printJSON(v any) error {
	e := json.NewEncoder(os.Stdout)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func oneLine(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}
