package durable

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func holds(t *testing.T, path, want string) {
	t.Helper()
	if b, err := os.ReadFile(path); err != nil || string(b) != want {
		t.Errorf("%s holds %q, want %q: %v", filepath.Base(path), b, want, err)
	}
}

func TestWriteReplacesWhole(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "f"), filepath.Join(dir, "other")
	must(t, os.WriteFile(other, []byte("other"), 0o644))
	must(t, Write(path, []byte("one"), 0o600))
	holds(t, path, "one")
	must(t, os.WriteFile(path+".new", []byte("left behind by a crash, and longer"), 0o666))
	must(t, Write(path, []byte("two"), 0o644))
	holds(t, path, "two")
	if runtime.GOOS != "windows" {
		if st, err := os.Stat(path); err != nil || st.Mode() != 0o644 {
			t.Errorf("mode %v, %v", st.Mode(), err)
		}
		must(t, os.Symlink(other, path+".new"))
		must(t, Write(path, []byte("three"), 0o600))
		holds(t, other, "other")
	}
	must(t, Write(path, nil, 0o600))
	holds(t, path, "")
	if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestWriteThatFailsLeavesTheOld(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	must(t, Write(path, []byte("old"), 0o600))
	must(t, os.MkdirAll(filepath.Join(path+".new", "full"), 0o755)) // in the way
	if err := Write(path, []byte("new"), 0o600); err == nil {
		t.Error("written through what was in the way")
	}
	holds(t, path, "old")
	if err := Write(filepath.Join(dir, "gone", "f"), nil, 0o600); err == nil {
		t.Error("written into a directory that is not there")
	}
}
