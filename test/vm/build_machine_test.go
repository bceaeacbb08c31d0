//go:build linux && machine

// Package vm tests the four programs on a whole machine: a Debian 12 with its own kernel, lightdm, XFCE and light-locker,
// whose keyboard and pointer are hardware to it. `make test-machine` runs it; pictures of every step stay in out/machine.
package vm

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// versions are built one after the other, so that the second can be an upgrade of the first.
var versions = []string{"0.0.1", "0.0.2"}

// payload makes the directory that the machine has as /payload: the helper, and the packages of each version.
func payload(t *testing.T) (dir, helper string) {
	t.Helper()
	dir, programs := t.TempDir(), t.TempDir()
	helper = filepath.Join(dir, "guest")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", helper, "./guest")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	made(t, build)
	for _, version := range versions {
		packages := exec.Command("make", "--no-print-directory", "deb", "VERSION="+version, "BIN="+programs, "DIST="+dir)
		packages.Dir, packages.Env = "../..", append(os.Environ(), "SOURCE_DATE_EPOCH=1700000000", "STEPAWAY_SIGNING_KEY=")
		made(t, packages)
	}
	return dir, helper
}

func made(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
}

// shots is an empty directory for pictures, which stays.
func shots(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../out/machine")
	if err == nil {
		err = os.RemoveAll(dir)
	}
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
