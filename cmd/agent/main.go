// Command stepaway-agent secures the sessions of a workstation when their users step away.
//
// Failure rules: wrong flags are exit 2 and start nothing; what cannot be done is exit 1 with one line on
// standard error that says what to do. Data goes to standard output.
package main

import (
	"bytes"
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
	case "help", "-h", "-help", "--help":
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

// flags makes the flag set of a verb. Its help waits for parse, since package flag prints it after every
// mistake as well.
func flags(name, about string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(&bytes.Buffer{})
	fs.Usage = func() {
		fmt.Fprintf(fs.Output(), "usage: stepaway-agent %s [FLAGS]\n\n%s\n", name, about)
		fs.PrintDefaults()
	}
	return fs
}

// help prints what Usage wrote.
func help(fs *flag.FlagSet) error {
	fmt.Print(fs.Output())
	return flag.ErrHelp
}

// parse reads flags, none of which may be given an empty value; at most most arguments may follow.
func parse(fs *flag.FlagSet, args []string, most int) error {
	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return help(fs)
	}
	if err != nil {
		return wrong(fs, "%v", err)
	}
	if fs.NArg() > most {
		return wrong(fs, "unexpected %q", fs.Arg(most))
	}
	return empty(fs)
}

// empty is the error of a flag that was given an empty value, such as that of a variable that is not set.
func empty(fs *flag.FlagSet) (err error) {
	fs.Visit(func(f *flag.Flag) {
		if f.Value.String() == "" {
			err = wrong(fs, "--%s is empty", f.Name)
		}
	})
	return err
}

// wrong is the error of a command line.
func wrong(fs *flag.FlagSet, format string, args ...any) error {
	return fmt.Errorf("%s: %s; see stepaway-agent %s --help: %w", fs.Name(), fmt.Sprintf(format, args...), fs.Name(), errUsage)
}

func printVersion(args []string) error {
	if err := parse(flags("version", "Prints the version."), args, 0); err != nil {
		return err
	}
	fmt.Println("stepaway-agent", version)
	return nil
}
