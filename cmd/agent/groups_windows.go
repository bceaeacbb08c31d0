package main

import (
	"context"

	"stepaway/session/wts"
)

// groupsOf asks for the groups of a user and where they come from, as the agent would.
func groupsOf(ctx context.Context, name string) (names []string, source string, err error) {
	return wts.GroupsOf(ctx, name)
}
