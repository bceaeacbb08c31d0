// Package deb tests the Debian packages: how they are made, and what they do to a machine from installation to purge.
package deb

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"stepaway/test/rig"
)

const (
	epoch = "1700000000"
	older = "1.0.0"
	newer = "1.1.0"
)

// dist says where the packages of this run are.
type dist struct{ top, older, again, newer string }

// made has make build the older version twice, in two directories, and the newer one.
var made = sync.OnceValues(func() (d dist, err error) {
	if d.top, err = os.MkdirTemp("", "deb"); err != nil {
		return d, err
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		return d, err
	}
	copied := filepath.Join(d.top, "elsewhere", "checkout")
	if err := os.MkdirAll(copied, 0o755); err != nil {
		return d, err
	}
	copying := exec.Command("bash", "-euo", "pipefail", "-c",
		`git -c safe.directory='*' ls-files -z --cached --others --exclude-standard | tar --null -T - --ignore-failed-read -c | tar -x -C "$1"`, "-", copied)
	copying.Dir = root
	if out, err := copying.CombinedOutput(); err != nil {
		return d, fmt.Errorf("copy the checkout: %w: %s", err, out)
	}
	for _, m := range []struct {
		in, version string
		into        *string
	}{{root, older, &d.older}, {copied, older, &d.again}, {root, newer, &d.newer}} {
		*m.into = filepath.Join(d.top, fmt.Sprintf("%s-%d", m.version, len(m.in)))
		cmd := exec.Command("make", "--no-print-directory", "deb", "VERSION="+m.version, "BIN="+*m.into+"/bin", "DIST="+*m.into)
		cmd.Dir, cmd.Env = m.in, append(os.Environ(), "SOURCE_DATE_EPOCH="+epoch, "STEPAWAY_SIGNING_KEY=")
		if out, err := cmd.CombinedOutput(); err != nil {
			return d, fmt.Errorf("make deb in %s: %w: %s", m.in, err, out)
		}
	}
	return d, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if d, _ := made(); d.top != "" {
		os.RemoveAll(d.top)
	}
	os.Exit(code)
}

func packages(t *testing.T) dist {
	t.Helper()
	d, err := made()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTwoBuildsAreTheSame(t *testing.T) {
	d := packages(t)
	list, err := os.ReadDir(d.older)
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, e := range list {
		if e.IsDir() {
			continue
		}
		one, err := os.ReadFile(filepath.Join(d.older, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		two, err := os.ReadFile(filepath.Join(d.again, e.Name()))
		if err != nil || !bytes.Equal(one, two) {
			t.Errorf("%s differs between two builds: %v", e.Name(), err)
		}
		compared++
	}
	if compared != 5 { // two packages, their lists, the sums
		t.Errorf("%d files were made", compared)
	}
	check := exec.Command("sha256sum", "-c", "--strict", "--quiet", "SHA256SUMS")
	check.Dir = d.older
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("the check sums: %v %s", err, out)
	}
}

// lintian finds nothing that is not answered, and every answer has its reason.
func TestLintianIsAnswered(t *testing.T) {
	d := packages(t)
	debs, err := filepath.Glob(d.older + "/*.deb")
	if err != nil || len(debs) != 2 {
		t.Fatalf("%v, %v", debs, err)
	}
	out, err := exec.Command(rig.Tool(t, "lintian"), append([]string{"--tag-display-limit", "0", "--fail-on", "error,warning,override"}, debs...)...).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if kind, _, ok := strings.Cut(line, ": "); ok && strings.ContainsAny(kind, "EW") && len(kind) == 1 {
			t.Error(strings.TrimSpace(line))
		}
	}
	if err != nil && len(out) == 0 {
		t.Error(err)
	}
	overrides, err := filepath.Glob("../../packaging/deb/*/lintian-overrides")
	if err != nil || len(overrides) != 2 {
		t.Fatalf("%v, %v", overrides, err)
	}
	for _, path := range overrides {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		reason := false
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "#") {
				reason = true
			} else if strings.TrimSpace(line) != "" && !reason {
				t.Errorf("%s: no reason for %s", path, line)
			}
		}
	}
}
