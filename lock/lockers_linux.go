package lock

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"stepaway/proc"
)

// lockers are the file names of programs that lock a screen until the password is given. Where each lies differs between
// systems, so a file counts by its name and by being root's alone, every directory above it too.
var lockers = []string{
	"i3lock", "i3lock-color", "xsecurelock", "xlock", "slock", "alock", "xtrlock", "xscreensaver", "xscreensaver-gfx",
	"xscreensaver-auth", "xfce4-screensaver", "xfce4-screensaver-dialog", "mate-screensaver", "mate-screensaver-dialog",
	"cinnamon-screensaver", "cinnamon-screensaver-pam-helper", "gnome-screensaver", "gnome-screensaver-dialog",
	"ukui-screensaver-dialog", "kscreenlocker_greet", "light-locker", "betterlockscreen",
	"swaylock", "gtklock", "waylock", "hyprlock",
	"auth_x11", "saver_blank", "dimmer", // of xsecurelock, beneath its own directory
}

// helperDir is where xsecurelock keeps the programs that draw for it.
const helperDir = "/xsecurelock/"

// isLocker reports whether an executable is a known locker, or one that policy named.
func isLocker(exe string, named []string) bool {
	if slices.Contains(named, exe) {
		return true
	}
	name := filepath.Base(exe)
	if name == "auth_x11" || name == "saver_blank" || name == "dimmer" {
		return strings.Contains(exe, helperDir)
	}
	return slices.Contains(lockers, name)
}

// IsLocker reports whether the file name of a program is that of a known locker, which counts as proof when it holds the screen.
func IsLocker(exe string) bool { return isLocker(exe, nil) }

// errDistrusted is the error for a file that others than root can change.
var errDistrusted = errors.New("can be changed by others than root")

// trustedFile returns the canonical path of a program that only root can change: the file and every directory above it
// belong to root and nobody else may write them.
func trustedFile(path string) (string, error) {
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("program %q: the path is not absolute", path)
	}
	canonical, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", fmt.Errorf("program %q: %w", path, err)
	}
	for at := canonical; ; at = filepath.Dir(at) {
		info, err := os.Lstat(at)
		if err != nil {
			return "", fmt.Errorf("program %q: %w", path, err)
		}
		if !roots(info) || at == canonical && !info.Mode().IsRegular() {
			return "", fmt.Errorf("program %q: %s %w", path, at, errDistrusted)
		}
		if at == "/" {
			return canonical, nil
		}
	}
}

// roots reports whether a file belongs to root and nobody else may write it.
func roots(info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Uid == 0 && info.Mode().Perm()&0o022 == 0
}

// genuine reports whether a process is a locker of the user that only root's code runs in: a known file, the very file
// that is at that path for us (a user may mount another there for himself), running, not traced, nothing mapped that
// is not root's (a preloaded library).
func genuine(pid int, uid uint32, named []string) (proc.Process, bool) {
	p, err := proc.Read(pid)
	if err != nil || p.UID != uid || !p.Running() || !isLocker(p.Exe, named) {
		return p, false
	}
	if !runsFile(p) || proc.Traced(pid) || !rootsCode(pid) {
		return p, false
	}
	again, err := proc.Read(pid)
	return p, err == nil && again.Same(p)
}

// runsFile reports whether a process runs the file at the path of its executable, or one that was there until an upgrade
// replaced it: root's, and on the file system of its directory, which no mount of a user's own can be.
func runsFile(p proc.Process) bool {
	if _, err := trustedFile(p.Exe); err != nil {
		return false
	}
	runs, err := os.Stat("/proc/" + strconv.Itoa(p.PID) + "/exe")
	if err != nil || !roots(runs) {
		return false
	}
	if p.Gone {
		dir, err := os.Stat(filepath.Dir(p.Exe))
		return err == nil && device(dir) == device(runs)
	}
	at, err := os.Stat(p.Exe)
	return err == nil && os.SameFile(at, runs)
}

func device(info os.FileInfo) uint64 {
	st, _ := info.Sys().(*syscall.Stat_t)
	return uint64(st.Dev) // its width differs between architectures
}

// maxMaps bounds how much is read of a list that the process's owner can make long.
const maxMaps = 1 << 20

// rootsCode reports whether every file from which a process runs code is root's.
func rootsCode(pid int) bool {
	f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/maps")
	if err != nil {
		return false
	}
	defer f.Close()
	lines, read := bufio.NewScanner(f), 0
	for lines.Scan() {
		if read += len(lines.Bytes()); read > maxMaps || !rootsMapping(pid, lines.Text()) {
			return false
		}
	}
	return lines.Err() == nil && read > 0
}

// rootsMapping judges one line of maps: address range, rights, offset, device, inode, path.
func rootsMapping(pid int, line string) bool {
	f := strings.Fields(line)
	if len(f) < 6 || !strings.Contains(f[1], "x") || !strings.HasPrefix(f[5], "/") {
		return len(f) >= 5
	}
	info, err := os.Stat("/proc/" + strconv.Itoa(pid) + "/map_files/" + f[0]) // the file itself, even if replaced since
	if err != nil {
		info, err = os.Stat(strings.Join(f[5:], " ")) // that list is root's to read; without root, by path
	}
	return err == nil && roots(info)
}
