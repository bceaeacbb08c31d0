package whole

import (
	"os/exec"
	"path/filepath"
	"testing"
)

func TestVersionIsTheBuildsOwn(t *testing.T) {
	for name, arg := range map[string]string{"stepaway-agent": "version", "stepaway-courier": "version",
		"stepaway-collector": "version", "stepaway-tray": "--version"} {
		out, err := exec.Command(filepath.Join(programs(t), name), arg).Output()
		if want := name + " 0.0.1-test\n"; err != nil || string(out) != want {
			t.Errorf("%s %s: %q, %v; want %q", name, arg, out, err, want)
		}
	}
}
