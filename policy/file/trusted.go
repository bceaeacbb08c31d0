package file

import "stepaway/trusted"

// What is believed of a file is said in package trusted.
var (
	readTrusted = trusted.Read
	trustedDirs = trusted.Dirs
)
