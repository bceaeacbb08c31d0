package main

import (
	"context"
	"fmt"

	"stepaway/cmdline"
	"stepaway/packaging"
)

// systemVerbs are the commands that only this system has.
var systemVerbs = []cmdline.Verb{
	{Name: packaging.ServiceVerb, Line: "keep and carry events, started by the service manager", Run: runService},
	{Name: packaging.LeaveVerb, Line: "remove what was gathered, when the programs are removed", Run: leaveVerb},
}

func leaveVerb(_ context.Context, args []string) error {
	f := flags(packaging.LeaveVerb, "Removes policy, identity and state below "+packaging.DataDir()+", and the records if a collector has all of them.\nThe package does this when it is removed. The services must have ended.")
	if _, err := cmdline.Parse(f, args); err != nil {
		return err
	}
	kept, err := leave(packaging.DataDir())
	if kept != "" {
		fmt.Printf("kept %s: records in it are not known to be at a collector\n", kept)
	}
	return err
}
