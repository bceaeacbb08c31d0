package main

import (
	"stepaway/policy/file"
	"stepaway/policy/registry"
)

// policySite is where this system's policy comes from: files, and over them what group policy wrote.
func policySite(path string, owner uint32) file.Site {
	return file.Site{Files: file.Source{Path: path, Owner: owner}, Over: []file.Layer{registry.Source{}}}
}
