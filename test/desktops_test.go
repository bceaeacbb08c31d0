package test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDesktopsNameTestsThatExist: a row of docs/desktops.md that says it was run names what runs it.
func TestDesktopsNameTestsThatExist(t *testing.T) {
	page, err := os.ReadFile("../docs/desktops.md")
	if err != nil {
		t.Fatal(err)
	}
	there := testsOf(t)
	named := regexp.MustCompile("`(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(string(page), -1)
	for _, n := range named {
		if !there[n[1]] {
			t.Errorf("docs/desktops.md names %s, which is no test", n[1])
		}
	}
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) != 8 || strings.HasPrefix(cells[1], "---") || strings.Contains(line, "| known by |") {
			continue
		}
		if known := cells[6]; strings.Contains(known, "run") == !strings.Contains(known, "`Test") || !strings.Contains(known, "run") && !strings.Contains(known, "read") {
			t.Errorf("how is this known? %s", line)
		}
	}
	if len(named) < 10 {
		t.Errorf("only %d tests are named", len(named))
	}
}

// testsOf are the names of all tests of the project.
func testsOf(t *testing.T) map[string]bool {
	t.Helper()
	name, there := regexp.MustCompile(`(?m)^func (Test\w+)\(`), map[string]bool{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		for _, m := range name.FindAllStringSubmatch(string(b), -1) {
			there[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return there
}
