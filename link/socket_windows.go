package link

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"strings"
)

// pipes is where all pipes are.
const pipes = `\\.\pipe\stepaway-`

// Socket is the enforcer's pipe where its runtime directory is this one: pipes have no directories of their own, so its
// name is made of the directory's. The service's pipe has a name of its own.
func Socket(runtime string) string {
	if abs, err := filepath.Abs(runtime); err == nil {
		runtime = abs
	}
	sum := sha256.Sum256([]byte(strings.ToLower(runtime)))
	return pipes + hex.EncodeToString(sum[:8])
}
