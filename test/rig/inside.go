//go:build linux

package rig

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// inside tells a test binary that it runs in a container.
const inside = "STEPAWAY_RIG_INSIDE"

// InContainer boots a container and runs the calling test in it, as root; only there test is called. Whoever calls it
// has the real logind, system bus and processes around.
func InContainer(t *testing.T, test func(t *testing.T, c *Container)) {
	t.Helper()
	InSuite(t, Debian12, test)
}

// InSuite is InContainer for one of the suites.
func InSuite(t *testing.T, suite Suite, test func(t *testing.T, c *Container)) {
	t.Helper()
	if os.Getenv(inside) != "" {
		test(t, &Container{t: t})
		return
	}
	c := BootSuite(t, suite)
	c.Copy(testBinary(t), "/usr/local/bin/rig-test")
	// a goroutine dump tells more than a context that runs out
	cmd := c.Command(context.Background(), inside+"=1", "/usr/local/bin/rig-test", "-test.run", pattern(t.Name()),
		"-test.v", "-test.timeout", (4 * time.Minute).String())
	if out, err := output(cmd); err != nil {
		t.Fatalf("in the container:\n%s", out)
	} else if testing.Verbose() {
		t.Log("in the container:\n" + out)
	}
}

// pattern matches the name of one test.
func pattern(name string) string {
	return "^" + strings.ReplaceAll(name, "/", "$/^") + "$"
}

// testBinary builds the tests of the package in the current directory: static, as the product is, or with the race
// detector where that is on.
func testBinary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rig-test")
	args, cgo := []string{"test", "-c", "-o", path}, "CGO_ENABLED=0"
	if raceDetector {
		args, cgo = append(args, "-race", "-tags", "osusergo"), "CGO_ENABLED=1" // users and groups as in a static program
	}
	cmd := exec.Command(Tool(t, "go"), append(args, ".")...)
	cmd.Env = append(os.Environ(), cgo)
	if _, err := output(cmd); err != nil {
		t.Fatal(err)
	}
	return path
}
