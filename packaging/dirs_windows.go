package packaging

import (
	"path/filepath"

	"golang.org/x/sys/windows"
)

// DataDir is where an installation keeps what it writes, and where its policy.yaml is: by what Windows knows, never by the
// environment, which whoever starts a program can set.
func DataDir() string {
	dir, err := windows.KnownFolderPath(windows.FOLDERID_ProgramData, 0)
	if err != nil { // as Windows has it unless it was moved
		root, err := windows.GetSystemWindowsDirectory()
		if err != nil {
			root = `C:\Windows`
		}
		dir = filepath.VolumeName(root) + `\ProgramData`
	}
	return filepath.Join(dir, DataName)
}
