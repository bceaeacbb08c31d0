package durable

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestModeDoesNotDependOnTheMask(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	defer unix.Umask(unix.Umask(0o077))
	must(t, Write(path, []byte("x"), 0o644))
	if st, err := os.Stat(path); err != nil || st.Mode() != 0o644 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
}
