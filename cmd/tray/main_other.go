//go:build !windows && (!linux || !cgo)

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintf(os.Stderr, "stepaway-tray %s: not on this system yet\n", version)
	os.Exit(1)
}
