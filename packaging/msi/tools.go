package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// runIn runs a tool in dir, with English words and the time of Greenwich. The last argument is a file of dir; its text is
// written first where there is one. Whatever the tool says on standard error ends the making.
func runIn(dir string, text []byte, tool string, args ...string) error {
	if text != nil {
		if err := os.WriteFile(filepath.Join(dir, args[len(args)-1]), text, 0o644); err != nil {
			return err
		}
	}
	path, err := exec.LookPath(tool)
	if err != nil {
		return fmt.Errorf("%s is not installed: run `make deps`", tool)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TZ=UTC")
	var said, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &complaints
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w: %s%s", tool, strings.Join(args, " "), err, complaints.String(), said.String())
	}
	if complaints.Len() > 0 {
		return fmt.Errorf("%s %s says: %s", tool, strings.Join(args, " "), strings.TrimSpace(complaints.String()))
	}
	return nil
}
