package main

import (
	"context"
	"errors"

	"stepaway/cmdline"
)

// stateVerb is `state` with its commands.
var stateVerb = cmdline.Group(self, "state", "show and approve what the installation consists of", []cmdline.Verb{
	{Name: "show", Line: "programs and settings in force, and what differs from the approved state", Run: noState},
	{Name: "approve", Line: "the present state counts as approved from now on", Run: noState},
})

func noState(context.Context, []string) error { return errors.New("state: not on this system yet") }
