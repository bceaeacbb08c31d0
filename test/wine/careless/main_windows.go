// Command careless loads a library by its bare name, as no program of Stepaway does: for the test that tells the two apart.
package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/windows"
)

func main() {
	if _, err := windows.LoadDLL("version.dll"); err != nil {
		fmt.Fprintln(os.Stderr, "careless:", err)
		os.Exit(1)
	}
}
