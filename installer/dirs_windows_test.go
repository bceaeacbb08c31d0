package installer

import (
	"os"
	"path/filepath"
	"testing"

	"stepaway/packaging"
)

func TestDirectoriesAreMadeTwice(t *testing.T) {
	root := filepath.Join(t.TempDir(), "Stepaway")
	for range 2 {
		if err := MakeDirs(root); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range packaging.Directories() {
		if info, err := os.Stat(filepath.Join(root, d.Path)); err != nil || !info.IsDir() {
			t.Errorf("%q: %v", d.Path, err)
		}
	}
}

func TestWhatIsNoDirectoryIsRefused(t *testing.T) {
	root := filepath.Join(t.TempDir(), "Stepaway")
	if err := os.WriteFile(root, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := MakeDirs(root); err == nil {
		t.Error("a file in the place of a directory was taken for one")
	}
}
