package main

import (
	"context"

	"stepaway/session/logind"
)

// groupsOf asks for the groups of a user and where they come from, as the agent would. What the agent has kept of them is
// for root to see.
func groupsOf(ctx context.Context, name string) (names []string, source string, err error) {
	return logind.Options{Groups: systemPaths("", "").groups()}.GroupsOf(ctx, name)
}
