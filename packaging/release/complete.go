package main

import (
	"fmt"
	"strings"
)

// inner are the commands that have commands, the program first, each before those below it.
func (c command) inner() []command {
	out := []command{}
	if len(c.Commands) == 0 {
		return out
	}
	out = append(out, c)
	for _, sub := range c.Commands {
		out = append(out, sub.inner()...)
	}
	return out
}

// below is a command's path without the program, as the scripts keep it.
func (c command) below() string { return strings.Join(c.Path[1:], " ") }

// words are what can follow.
func (c command) words() string {
	var out []string
	for _, sub := range c.Commands {
		out = append(out, sub.last())
	}
	for _, f := range c.Options {
		out = append(out, "--"+f.Name)
	}
	return strings.Join(append(out, "--help"), " ")
}

// known lists every command as a pattern of case.
func (c command) known() string {
	var out []string
	for _, in := range c.inner() {
		for _, sub := range in.Commands {
			out = append(out, fmt.Sprintf("%q", sub.below()))
		}
	}
	if len(out) == 0 {
		return `""`
	}
	return strings.Join(out, "|")
}

func (c command) cases(offer string) string {
	var b strings.Builder
	for _, at := range append(c.inner(), c.leaves()...) {
		fmt.Fprintf(&b, "\t%q) %s ;;\n", at.below(), fmt.Sprintf(offer, at.words()))
	}
	return b.String()
}

// bash is the completion for bash; what is neither command nor flag is a file.
func bash(c command) string {
	return fmt.Sprintf(`# bash completion for %[1]s
%[2]s() {
	local at="" next word cur=${COMP_WORDS[COMP_CWORD]}
	for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
		next=${at:+$at }$word
		case $next in %[3]s) at=$next ;; esac
	done
	case $at in
%[4]s	esac
}
complete -o default -F %[2]s %[1]s
`, c.last(), "_"+strings.ReplaceAll(c.last(), "-", "_"), c.known(), c.cases(`COMPREPLY=($(compgen -W "%s" -- "$cur"))`))
}

// zsh is the completion for zsh.
func zsh(c command) string {
	return fmt.Sprintf(`#compdef %[1]s
local at="" next word
for word in ${words[2,CURRENT-1]}; do
	next=${at:+$at }$word
	case $next in
		(%[2]s) at=$next ;;
	esac
done
case $at in
%[3]sesac
_files
`, c.last(), c.known(), strings.ReplaceAll(c.cases(`compadd -- %s`), "\t\"", "\t(\""))
}
