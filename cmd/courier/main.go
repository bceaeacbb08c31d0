// Command stepaway-courier keeps audit events on this machine and carries them to the collector.
//
// Failure rules: wrong flags are exit 2 and start nothing; what cannot be done is exit 1 with one line on
// standard error that says what to do. Data goes to standard output, the log to standard error.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"stepaway/spool"
)

// version is set by the build.
var version = ""

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
		{"run", "keep events and carry them to the collector", run},
		{"enroll", "make this device known to a collector", enroll},
		{"audit", "verify or export the events that wait on this machine", auditVerb},
		{"status", "spool and collector", status},
		{"version", "print the version", printVersion},
	}
}

// checkVerb is the courier's own: it checks a spool's file in a process that may die of it.
const checkVerb = "check-spool"

func main() {
	os.Exit(dispatch(os.Args[1:]))
}

func dispatch(args []string) int {
	if len(args) == 0 {
		usage(os.Stderr)
		return exitUsage
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		usage(os.Stdout)
		return exitOK
	case checkVerb:
		if len(args) == 2 {
			return spool.CheckMain(args[1], os.Stdout)
		}
	}
	for _, v := range verbs() {
		if v.name == args[0] {
			return report(v.run(args[1:]))
		}
	}
	fmt.Fprintf(os.Stderr, "stepaway-courier: unknown command %q; see stepaway-courier --help\n", args[0])
	return exitUsage
}

// report turns an error into one line and an exit code.
func report(err error) int {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, errUsage):
		fmt.Fprintf(os.Stderr, "stepaway-courier: %s\n", strings.TrimSuffix(err.Error(), ": "+errUsage.Error()))
		return exitUsage
	}
	fmt.Fprintf(os.Stderr, "stepaway-courier: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
	return exitFailed
}

func usage(w io.Writer) {
	fmt.Fprint(w, "stepaway-courier carries the records of stepaway-agent to the collector.\n\nusage: stepaway-courier COMMAND [FLAGS]\n\n")
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
		fmt.Fprintf(fs.Output(), "usage: stepaway-courier %s [FLAGS]\n\n%s\n", name, about)
		fs.PrintDefaults()
	}
	return fs
}

// help prints what Usage wrote.
func help(fs *flag.FlagSet) error {
	fmt.Print(fs.Output())
	return flag.ErrHelp
}

// parse reads flags, none of which may be given an empty value; nothing may follow them.
func parse(fs *flag.FlagSet, args []string) error {
	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return help(fs)
	}
	if err != nil {
		return wrong(fs, "%v", err)
	}
	if fs.NArg() > 0 {
		return wrong(fs, "unexpected %q", fs.Arg(0))
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
	return fmt.Errorf("%s: %s; see stepaway-courier %s --help: %w", fs.Name(), fmt.Sprintf(format, args...), fs.Name(), errUsage)
}

func printVersion(args []string) error {
	if err := parse(flags("version", "Prints the version."), args); err != nil {
		return err
	}
	fmt.Println("stepaway-courier", ownVersion())
	return nil
}

// ownVersion is what the build set, or else what the module says.
func ownVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "0.1.0-dev"
}
