// Command stepaway-agent secures the sessions of a workstation when their users step away.
//
// Failure rules: see package cmdline for the command line. Data goes to standard output, the log to standard error.
package main

import (
	"context"
	"flag"
	"os"

	"stepaway/cmdline"
)

// version is set by the build.
var version = ""

const self = "stepaway-agent"

func main() {
	verbs := []cmdline.Verb{
		{Name: "run", Line: "enforce; under the service manager or in front", Run: run},
		{Name: "status", Line: "sessions, deadlines, where input is read and why", Run: status},
		{Name: "doctor", Line: "what keeps this workstation from being locked, and what to do", Run: diagnose},
		policyVerb,
		stateVerb,
		{Name: "install", Line: "register the service on this machine", Run: install},
		{Name: "uninstall", Line: "take the service off this machine", Run: uninstall},
	}
	verbs = append(append(verbs, systemVerbs...), cmdline.VersionVerb(self, version))
	os.Exit(cmdline.Program{Name: self, About: "secures a workstation when its user steps away", Verbs: verbs}.Main(context.Background(), os.Args[1:]))
}

func flags(verb, about string) *flag.FlagSet { return cmdline.Flags(self, verb, about) }
