// Write puts what package render makes of the table of settings into the checkout: go generate ./policy/...
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"stepaway/policy/render"
)

func main() {
	if err := write(); err != nil {
		fmt.Fprintln(os.Stderr, "write:", err)
		os.Exit(1)
	}
}

func write() error {
	root, err := checkout()
	if err != nil {
		return err
	}
	for _, f := range render.Files() {
		name := filepath.Join(root, filepath.FromSlash(f.Path))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, f.Text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// checkout is the nearest directory above that has a go.mod.
func checkout() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("no go.mod here or above: run it in the checkout")
		}
		dir = up
	}
}
