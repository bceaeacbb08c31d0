//go:build !windows

package main

import "stepaway/cmdline"

// systemVerbs are the commands that only this system has.
var systemVerbs []cmdline.Verb
