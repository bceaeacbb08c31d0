// Package installer registers Stepaway on this machine where no package does it, and takes it off again.
//
// Failure rules: what is already there is not overwritten, and the first step that fails stops the rest with an error
// that names it; running the same command again goes on from there. Taking it off leaves policy, identity and spool:
// records that were not delivered are never thrown away.
package installer

// Plan says where the programs are and what is done, one line for each step.
type Plan struct {
	Dir string            // directory of the programs, absolute
	Say func(line string) // progress
}
