// Command stepaway-collector takes the records of workstations, keeps them and answers questions about them.
//
// Failure rules: wrong flags are exit 2 and start nothing; what cannot be done is exit 1 with one line on
// standard error that says what to do. Data goes to standard output, the log to standard error.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"stepaway/collector"
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
	run        func(ctx context.Context, args []string) error
}

func verbs() []verb {
	return []verb{
		{"init", "make the data directory, the CA and the keys", initVerb},
		{"serve", "take events from couriers", serve},
		{"token", "make a one-time token for a device to enroll with", token},
		{"devices", "list the devices and what is held of each", devices},
		{"events", "print events", events},
		{"verify", "check every event and every chain", verify},
		{"report", "sum up by device", reportVerb},
		{"version", "print the version", printVersion},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	os.Exit(dispatch(ctx, os.Args[1:]))
}

func dispatch(ctx context.Context, args []string) int {
	if len(args) == 0 {
		usage(os.Stderr)
		return exitUsage
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		usage(os.Stdout)
		return exitOK
	}
	for _, v := range verbs() {
		if v.name == args[0] {
			return report(v.run(ctx, args[1:]))
		}
	}
	fmt.Fprintf(os.Stderr, "stepaway-collector: unknown command %q; see stepaway-collector --help\n", args[0])
	return exitUsage
}

// report turns an error into one line and an exit code.
func report(err error) int {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, errUsage):
		fmt.Fprintf(os.Stderr, "stepaway-collector: %s\n", strings.TrimSuffix(err.Error(), ": "+errUsage.Error()))
		return exitUsage
	}
	fmt.Fprintf(os.Stderr, "stepaway-collector: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
	return exitFailed
}

func usage(w io.Writer) {
	fmt.Fprint(w, "stepaway-collector takes and keeps the records of workstations.\n\nusage: stepaway-collector COMMAND [FLAGS]\n\n")
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
		fmt.Fprintf(fs.Output(), "usage: stepaway-collector %s [FLAGS]\n\n%s\n", name, about)
		fs.PrintDefaults()
	}
	return fs
}

// help prints what Usage wrote.
func help(fs *flag.FlagSet) error {
	fmt.Print(fs.Output())
	return flag.ErrHelp
}

// parse reads flags, none of which may be given an empty value, and between or after them exactly want other arguments.
func parse(fs *flag.FlagSet, args []string, want ...string) ([]string, error) {
	var others []string
	for {
		err := fs.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			return nil, help(fs)
		}
		if err != nil {
			return nil, wrong(fs, "%v", err)
		}
		if fs.NArg() == 0 {
			break
		}
		others, args = append(others, fs.Arg(0)), fs.Args()[1:]
	}
	switch {
	case len(others) < len(want):
		return nil, wrong(fs, "%s is missing", want[len(others)])
	case len(others) > len(want):
		return nil, wrong(fs, "unexpected %q", others[len(want)])
	}
	return others, empty(fs)
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
	return fmt.Errorf("%s: %s; see stepaway-collector %s --help: %w", fs.Name(), fmt.Sprintf(format, args...), fs.Name(), errUsage)
}

// dataFlag names the data directory.
func dataFlag(fs *flag.FlagSet) *string {
	return fs.String("data", "/var/lib/stepaway-collector", "data `directory`")
}

// withStore opens the store of a collector that exists.
func withStore(dir string, f func(*collector.Authority, collector.Store) error) error {
	a, err := collector.Load(dir)
	if err != nil {
		return err
	}
	s, err := collector.OpenSQLite(dir)
	if err != nil {
		return err
	}
	return errors.Join(f(a, s), s.Close())
}

func printVersion(_ context.Context, args []string) error {
	if _, err := parse(flags("version", "Prints the version."), args); err != nil {
		return err
	}
	v := version
	if info, ok := debug.ReadBuildInfo(); ok && v == "" {
		v = info.Main.Version
	}
	if v == "" {
		v = "0.1.0-dev"
	}
	fmt.Println("stepaway-collector", v)
	return nil
}
