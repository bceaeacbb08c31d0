package installer

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/windows"

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

func TestDirectoryOfAUserIsRefused(t *testing.T) {
	self, err := windows.StringToSid("S-1-5-21-1-2-3-1001")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{"O:SY": true, "O:BA": true, "O:S-1-5-21-1-2-3-1001": true, "O:BU": false, "O:S-1-5-21-1-2-3-1002": false, "D:": false} {
		sd, err := windows.SecurityDescriptorFromString(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := ownedBy(sd, self); (err == nil) != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}
