// Command stepaway-agent secures the sessions of a workstation when their users step away.
//
// Failure rules: wrong flags are exit 2 and start nothing; what cannot be done is exit 1 with one line on
// standard error that says what to do. Data goes to standard output.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

// version is set by the build.
var version = "0.1.0-dev"

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// errUsage marks an error of the command line.
var errUsage = errors.New("see --help")

// verb is one command of the program.
type verb struct {
	name, line string
	run        func(args []string) error
}

func verbs() []verb {
	return []verb{
		{"run", "enforce; under the service manager or in front", run},
		{"status", "sessions, deadlines, where input is read and why", status},
		{"policy", "show or check the policy", policyVerb},
		{"install", "register the service on this machine", install},
		{"uninstall", "take the service off this machine", uninstall},
		{"version", "print the version", func(args []string) error { return printVersion(args) }},
	}
}

func main() {
	os.Exit(dispatch(os.Args[1:], os.Stderr))
}

func dispatch(args []string, stderr io.Writer) int {
	if len(args) == 0 {
		usage(stderr)
		return exitUsage
	}
	switch args[0] {
	case "help", "-h", "--help":
		usage(os.Stdout)
		return exitOK
	}
	for _, v := range verbs() {
		if v.name == args[0] {
			return report(v.run(args[1:]), stderr)
		}
	}
	fmt.Fprintf(stderr, "stepaway-agent: unknown command %q; see stepaway-agent --help\n", args[0])
	return exitUsage
}

// report turns an error into one line and an exit code.
func report(err error, stderr io.Writer) int {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, errUsage):
		fmt.Fprintf(stderr, "stepaway-agent: %s\n", strings.TrimSuffix(err.Error(), ": "+errUsage.Error()))
		return exitUsage
	default:
		fmt.Fprintf(stderr, "stepaway-agent: %v\n", err)
		return exitFailed
	}
}

func usage(w io.Writer) {
	fmt.Fprint(w, "stepaway-agent secures a workstation when its user steps away.\n\nusage: stepaway-agent COMMAND [FLAGS]\n\n")
	for _, v := range verbs() {
		fmt.Fprintf(w, "  %-10s %s\n", v.name, v.line)
	}
	fmt.Fprint(w, "\nEvery command has --help. Exit codes: 0 done, 1 failed, 2 wrong command line.\n")
}

// flags makes the flag set of a verb, whose help goes to standard output.
func flags(name, about string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {
		fmt.Printf("usage: stepaway-agent %s [FLAGS]\n\n%s\n", name, about)
		fs.SetOutput(os.Stdout)
		fs.PrintDefaults()
	}
	return fs
}

// parse reads flags; at most most arguments may follow.
func parse(fs *flag.FlagSet, args []string, most int) error {
	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return err
	}
	if err != nil {
		return fmt.Errorf("%s: %w; see stepaway-agent %s --help: %w", fs.Name(), err, fs.Name(), errUsage)
	}
	if fs.NArg() > most {
		return fmt.Errorf("%s: unexpected %q; see stepaway-agent %s --help: %w", fs.Name(), fs.Arg(most), fs.Name(), errUsage)
	}
	return nil
}

func printVersion(args []string) error {
	if err := parse(flags("version", "Prints the version."), args, 0); err != nil {
		return err
	}
	fmt.Println("stepaway-agent", version)
	return nil
}
