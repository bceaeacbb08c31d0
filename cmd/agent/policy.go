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

	"stepaway/cmdline"
	"stepaway/policy"
	"stepaway/policy/file"
)

func policyVerb(_ context.Context, args []string) error {
	verbs := map[string]func([]string) error{"show": policyShow, "check": policyCheck}
	if len(args) > 0 {
		if v, known := verbs[args[0]]; known {
			return v(args[1:])
		}
		switch args[0] {
		case "-h", "-help", "--help", "help":
			fmt.Println("usage: stepaway-agent policy show|check [FLAGS]\n\nshow   each value in force and where it came from\ncheck  what is wrong with a policy file, and what is unwise")
			return nil
		case "schema", "sign", "approve":
			return fmt.Errorf("policy %s is not in this release: %w", args[0], cmdline.ErrUsage)
		}
	}
	return fmt.Errorf("policy: say show or check; see stepaway-agent policy --help: %w", cmdline.ErrUsage)
}

// reader is who reads a policy from the command line: root and himself are trusted owners.
func reader() uint32 { return uint32(max(os.Getuid(), 0)) }

func policyShow(args []string) error {
	f := flags("policy show", "Prints each value in force and where it came from. Exit 1 if the file is not taken as it stands.")
	path := f.String("policy", "/etc/stepaway/policy.yaml", "policy `FILE`; policy.d is beside it")
	state := f.String("state", "", "state `DIR` of an agent that was started with one")
	asJSON := f.Bool("json", false, "print JSON")
	if _, err := cmdline.Parse(f, args); err != nil {
		return err
	}
	l, err := inForce(f, *path, systemPaths("", *state).lastGood())
	if err := printSettings(l, *asJSON); err != nil {
		return err
	}
	if err != nil {
		return explain(err)
	}
	return nil
}

// inForce is what an agent with this policy file would enforce, and the error that keeps it from taking the file.
func inForce(f *flag.FlagSet, path, lastGood string) (policy.Loaded, error) {
	l, _, err := file.Source{Path: path, Owner: reader()}.Load()
	if err == nil {
		return l, nil
	}
	last, keepErr := file.Keep{Path: lastGood}.Load(reader())
	switch {
	case keepErr == nil:
		for key, from := range last.Source {
			last.Source[key] = "last good " + from
		}
		return last, err
	case errors.Is(err, fs.ErrNotExist) && !given(f, "policy"):
		err = nil
	}
	return policy.Loaded{Policy: policy.Default()}, err
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

func policyCheck(args []string) error {
	f := flags("policy check FILE", "Says everything that is wrong with a policy file, and what is unwise. Exit 1 if it would not be taken.")
	asJSON := f.Bool("json", false, "print JSON")
	files, err := cmdline.Parse(f, args, "FILE")
	if err != nil {
		return err
	}
	if files[0] == "" {
		return cmdline.Wrong(f, "name the policy file")
	}
	l, _, err := file.Source{Path: files[0], Owner: reader()}.Load()
	if *asJSON {
		return checkJSON(l, err)
	}
	if err != nil {
		return explain(err)
	}
	for _, a := range l.Policy.Advice() {
		fmt.Println("note:", a)
	}
	fmt.Println("ok: this policy would be taken; hash", l.Policy.Hash())
	return nil
}

func checkJSON(l policy.Loaded, err error) error {
	var ps policy.Problems
	if err != nil && !errors.As(err, &ps) {
		ps = policy.Problems{{Text: err.Error()}}
	}
	out := map[string]any{"ok": err == nil, "problems": append([]policy.Problem{}, ps...)}
	if err == nil {
		out["hash"], out["notes"] = l.Policy.Hash(), append([]string{}, l.Policy.Advice()...)
	}
	if e := printJSON(out); e != nil {
		return e
	}
	if err != nil {
		return errors.New("this policy would not be taken")
	}
	return nil
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
