package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

var epoch = time.Unix(1700000000, 0).UTC()

// programDir holds three programs of Windows that do nothing, made once.
var programDir = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "msi")
	if err != nil {
		return "", err
	}
	source := filepath.Join(dir, "main.go")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o644); err != nil {
		return dir, err
	}
	for _, name := range programs {
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", filepath.Join(dir, name), source)
		cmd.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return dir, &os.PathError{Op: string(out), Path: name, Err: err}
		}
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, _ := programDir(); dir != "" {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// aBuild is one of this checkout, into a directory of its own.
func aBuild(t *testing.T) build {
	t.Helper()
	dir, err := programDir()
	if err != nil {
		t.Fatal(err)
	}
	return build{root: "../..", programs: dir, out: t.TempDir(), version: "1.2.3", at: epoch}
}

func (b build) must(t *testing.T) string {
	t.Helper()
	path, err := b.make()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// tool runs a program that must succeed, and returns what it printed.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed: run `make deps`", name)
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// row is one of a table, by its columns' names.
type row map[string]string

// read is a table of a finished package, as msiinfo reads it; by the first column where that is the whole key.
func read(t *testing.T, msi, table string) []row {
	t.Helper()
	lines := strings.Split(strings.TrimRight(strings.ReplaceAll(tool(t, "msiinfo", "export", msi, table), "\r", ""), "\n"), "\n")
	if len(lines) < 3 {
		t.Fatalf("table %s is not there: %q", table, lines)
	}
	names := strings.Split(lines[0], "\t")
	var out []row
	for _, l := range lines[3:] {
		r := row{}
		for i, f := range strings.Split(l, "\t") {
			r[names[i]] = f
		}
		out = append(out, r)
	}
	return out
}

// by is the rows of a table by one column.
func by(t *testing.T, rows []row, column string) map[string]row {
	t.Helper()
	out := map[string]row{}
	for _, r := range rows {
		if _, twice := out[r[column]]; twice {
			t.Errorf("%s %q is there twice", column, r[column])
		}
		out[r[column]] = r
	}
	return out
}
