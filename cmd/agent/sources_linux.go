package main

import "stepaway/policy/file"

// policySite is where this system's policy comes from.
func policySite(path string, owner uint32) file.Site {
	return file.Site{Files: file.Source{Path: path, Owner: owner}}
}
