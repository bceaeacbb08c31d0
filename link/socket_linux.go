package link

import "path/filepath"

// Socket is the enforcer's socket where its runtime directory is this one.
func Socket(runtime string) string { return filepath.Join(runtime, "link.sock") }
