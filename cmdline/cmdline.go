// Package cmdline is the command line that the programs share: commands, flags, help and exit codes.
//
// Failure rules: wrong flags are exit 2 and start nothing; what cannot be done is exit 1. Either is one line on standard
// error that says what to do, and nothing on standard output. A flag that is given an empty value, such as that of a
// variable that is not set, is wrong.
package cmdline

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
)

// Exit codes.
const (
	OK     = 0
	Failed = 1
	Usage  = 2
)

// ErrUsage marks an error of the command line.
var ErrUsage = errors.New("see --help")

// Program is one program and its commands.
type Program struct {
	Name  string // as it is called
	About string // what it does, one sentence
	Verbs []Verb
}

// Verb is one command. Run gets what follows its name.
type Verb struct {
	Name, Line string
	Run        func(ctx context.Context, args []string) error
}

// Main runs the command that args name and gives the exit code.
func (p Program) Main(ctx context.Context, args []string) int {
	if len(args) == 0 {
		p.usage(os.Stderr)
		return Usage
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		p.usage(os.Stdout)
		return OK
	}
	for _, v := range p.Verbs {
		if v.Name == args[0] {
			return p.report(v.Run(ctx, args[1:]))
		}
	}
	fmt.Fprintf(os.Stderr, "%s: unknown command %q; see %s --help\n", p.Name, args[0], p.Name)
	return Usage
}

// Group is a command that has commands of its own.
func Group(program, name, line string, verbs []Verb) Verb {
	p := Program{Name: program + " " + name, About: "is for this: " + line, Verbs: verbs}
	return Verb{name, line, func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("%s: say %s; see %s --help: %w", name, p.names(), p.Name, ErrUsage)
		}
		switch args[0] {
		case "help", "-h", "-help", "--help":
			p.usage(os.Stdout)
			return nil
		}
		for _, v := range verbs {
			if v.Name == args[0] {
				return v.Run(ctx, args[1:])
			}
		}
		return fmt.Errorf("%s: unknown command %q; say %s; see %s --help: %w", name, args[0], p.names(), p.Name, ErrUsage)
	}}
}

// names lists the commands, for a sentence.
func (p Program) names() string {
	var out []string
	for _, v := range p.Verbs {
		out = append(out, v.Name)
	}
	return strings.Join(out[:len(out)-1], ", ") + " or " + out[len(out)-1]
}

// report turns an error into one line and an exit code.
func (p Program) report(err error) int {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return OK
	case errors.Is(err, ErrUsage):
		fmt.Fprintf(os.Stderr, "%s: %s\n", p.Name, strings.TrimSuffix(err.Error(), ": "+ErrUsage.Error()))
		return Usage
	}
	fmt.Fprintf(os.Stderr, "%s: %s\n", p.Name, strings.ReplaceAll(err.Error(), "\n", "; "))
	return Failed
}

func (p Program) usage(w io.Writer) {
	fmt.Fprintf(w, "%s %s.\n\nusage: %s COMMAND [FLAGS]\n\n", p.Name, p.About, p.Name)
	for _, v := range p.Verbs {
		fmt.Fprintf(w, "  %-10s %s\n", v.Name, v.Line)
	}
	fmt.Fprint(w, "\nEvery command has --help. Exit codes: 0 done, 1 failed, 2 wrong command line.\n")
}

// Flags makes the flag set of a program's verb. Its help waits for Parse, since package flag prints it after every
// mistake as well.
func Flags(program, verb, about string) *flag.FlagSet {
	fs := flag.NewFlagSet(program+" "+verb, flag.ContinueOnError)
	fs.SetOutput(&bytes.Buffer{})
	fs.Usage = func() {
		fmt.Fprintf(fs.Output(), "usage: %s [FLAGS]\n\n%s\n", fs.Name(), about)
		fs.PrintDefaults()
	}
	return fs
}

// Parse reads flags, and between or after them exactly as many other arguments as want names.
func Parse(fs *flag.FlagSet, args []string, want ...string) (others []string, err error) {
	for {
		err := fs.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			fmt.Print(fs.Output()) // what Usage wrote
			return nil, err
		}
		if err != nil {
			return nil, Wrong(fs, "%v", err)
		}
		if fs.NArg() == 0 {
			break
		}
		others, args = append(others, fs.Arg(0)), fs.Args()[1:]
	}
	switch {
	case len(others) < len(want):
		return nil, Wrong(fs, "%s is missing", want[len(others)])
	case len(others) > len(want):
		return nil, Wrong(fs, "unexpected %q", others[len(want)])
	}
	return others, empty(fs)
}

// empty is the error of a flag that was given an empty value.
func empty(fs *flag.FlagSet) (err error) {
	fs.Visit(func(f *flag.Flag) {
		if f.Value.String() == "" {
			err = Wrong(fs, "--%s is empty", f.Name)
		}
	})
	return err
}

// Wrong is the error of a command line.
func Wrong(fs *flag.FlagSet, format string, args ...any) error {
	_, verb, _ := strings.Cut(fs.Name(), " ")
	return fmt.Errorf("%s: %s; see %s --help: %w", verb, fmt.Sprintf(format, args...), fs.Name(), ErrUsage)
}

// Version is what the build set, or else what the module says.
func Version(built string) string {
	if info, ok := debug.ReadBuildInfo(); ok && built == "" {
		built = info.Main.Version
	}
	if built == "" {
		return "0.1.0-dev"
	}
	return built
}

// VersionVerb prints a program's version.
func VersionVerb(program, built string) Verb {
	return Verb{"version", "print the version", func(_ context.Context, args []string) error {
		if _, err := Parse(Flags(program, "version", "Prints the version."), args); err != nil {
			return err
		}
		fmt.Println(program, Version(built))
		return nil
	}}
}
