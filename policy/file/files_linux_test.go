package file

import (
	"os"
	"path/filepath"
	"testing"
)

// nobody is the other user of the tests that run as root; what needs him is left out for others.
const nobody = 65534

func root() bool { return os.Geteuid() == 0 }

func self() uint32 { return uint32(os.Geteuid()) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, path, text string) string {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o644))
	return path
}
