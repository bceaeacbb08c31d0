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

// payload makes the directory that the machine has as /payload: the helper, and the programs of each version.
func payload(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	compile(t, filepath.Join(dir, "guest"), "stepaway/test/vm/guest", "0", "")
	for _, version := range versions {
		for name, cgo := range map[string]string{"agent": "0", "courier": "0", "collector": "0", "tray": "1"} {
			compile(t, filepath.Join(dir, version, "stepaway-"+name), "stepaway/cmd/"+name, cgo, version)
		}
	}
	return dir
}

func compile(t *testing.T, to, pkg, cgo, version string) {
	t.Helper()
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.version="+version, "-o", to, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
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
