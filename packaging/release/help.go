package main

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
)

// command is a program or one of its commands, as its own --help tells of it.
type command struct {
	Path     []string // program and command
	Line     string   // what it does, in one line
	Usage    string   // how it is called
	About    string
	Options  []option
	Commands []command
}

// option is one of a command's flags.
type option struct{ Name, Value, About string }

func (c command) name() string { return strings.Join(c.Path, " ") }

// leaves are the commands that have none of their own, in order.
func (c command) leaves() []command {
	if len(c.Commands) == 0 {
		return []command{c}
	}
	var out []command
	for _, sub := range c.Commands {
		out = append(out, sub.leaves()...)
	}
	return out
}

// learn asks a program and all of its commands for their help. Path begins with the program's name; file is what is run.
func learn(file string, path ...string) (command, error) {
	args := append(append([]string{}, path[1:]...), "--help")
	out, err := exec.Command(file, args...).Output()
	if err != nil {
		return command{}, fmt.Errorf("%s --help: %w", strings.Join(path, " "), err)
	}
	c, err := parseHelp(string(out))
	if err != nil {
		return command{}, fmt.Errorf("%s --help: %w", strings.Join(path, " "), err)
	}
	c.Path = path
	for i, sub := range c.Commands {
		full, err := learn(file, append(append([]string{}, path...), sub.last())...)
		if err != nil {
			return command{}, err
		}
		full.Line = sub.Line
		c.Commands[i] = full
	}
	return c, nil
}

// last is the last word of the command's path.
func (c command) last() string { return c.Path[len(c.Path)-1] }

var (
	commandLine = regexp.MustCompile(`^  ([a-z][a-z-]*) +(\S.*)$`)
	optionLine  = regexp.MustCompile(`^  -([a-z][a-z-]*)(?: ([^\t]+))?(?:\t(.*))?$`)
)

// parseHelp reads what package cmdline and package flag write.
func parseHelp(text string) (command, error) {
	var c command
	var about []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		opt, sub := optionLine.FindStringSubmatch(line), commandLine.FindStringSubmatch(line)
		switch {
		case strings.HasPrefix(line, "usage: "):
			c.Usage = strings.TrimPrefix(line, "usage: ")
		case opt != nil:
			c.Options = append(c.Options, option{opt[1], opt[2], strings.TrimSpace(opt[3])})
		case strings.HasPrefix(line, "    \t") && len(c.Options) > 0:
			last := &c.Options[len(c.Options)-1]
			last.About = strings.TrimSpace(last.About + " " + strings.TrimSpace(line))
		case sub != nil:
			c.Commands = append(c.Commands, command{Path: []string{sub[1]}, Line: sub[2]})
		case strings.HasPrefix(line, "Every command has --help"):
		default:
			about = append(about, line)
		}
	}
	c.About = strings.TrimSpace(strings.Join(about, "\n"))
	if c.Usage == "" || c.About == "" && len(c.Commands) == 0 {
		return c, fmt.Errorf("not understood: %q", text)
	}
	return c, nil
}
