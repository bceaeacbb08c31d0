// Package whole tests the four programs together, as real processes: on virtual desktops, in machines with
// systemd, and at the command line.
package whole

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// built are the programs of this run of the tests.
var built struct {
	once sync.Once
	dir  string
	err  error
	out  []byte
}

// programs returns a directory with stepaway-agent, -courier, -collector and -tray, built once as `make build` does.
func programs(t testing.TB) string {
	t.Helper()
	built.once.Do(build)
	if built.err != nil {
		t.Fatalf("build the programs: %v\n%s", built.err, built.out)
	}
	return built.dir
}

// build makes the programs. Any account may run them: some tests do so as nobody.
func build() {
	if built.dir, built.err = os.MkdirTemp("", "whole"); built.err != nil {
		return
	}
	if built.err = os.Chmod(built.dir, 0o755); built.err != nil {
		return
	}
	for name, cgo := range map[string]string{"agent": "0", "courier": "0", "collector": "0", "tray": "1"} {
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.version=0.0.1-test",
			"-o", filepath.Join(built.dir, "stepaway-"+name), "stepaway/cmd/"+name)
		cmd.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
		if built.out, built.err = cmd.CombinedOutput(); built.err != nil {
			return
		}
	}
}

func TestMain(m *testing.M) {
	// The tests wait more than they work, so more run at once than there are processors; -parallel still decides.
	_ = flag.Set("test.parallel", "8")
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	os.Exit(code)
}
