package doctor

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// errOthers is the error of a file that others than root can change.
var errOthers = errors.New("can be changed by others than root")

func (m *Machine) root() string {
	if m.Root == "" {
		return "/"
	}
	return m.Root
}

// open opens a path below the root, links resolved there, and never waits for the other end of a pipe.
func (m *Machine) open(path string, flags uint64) (*os.File, error) {
	dir, err := unix.Open(m.root(), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: m.root(), Err: err}
	}
	defer unix.Close(dir)
	if flags&unix.O_PATH == 0 {
		flags |= unix.O_NONBLOCK | unix.O_NOCTTY
	}
	fd, err := unix.Openat2(dir, path, &unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// text reads a file, whoever wrote it.
func (m *Machine) text(path string) (string, error) {
	f, err := m.open(path, unix.O_RDONLY)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", &os.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	}
	b, err := io.ReadAll(io.LimitReader(f, maxText))
	return string(b), err
}

// rootsText reads a file that nobody but root can change.
func (m *Machine) rootsText(path string) (string, error) {
	if err := m.roots(path); err != nil {
		return "", err
	}
	return m.text(path)
}

// roots returns nil if a path, its links resolved, and every directory above it are root's and nobody else may write them.
func (m *Machine) roots(path string) error {
	real, err := m.real(path)
	if err != nil {
		return err
	}
	for at := real; ; at = filepath.Dir(at) {
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(m.root(), at), &st); err != nil {
			return &os.PathError{Op: "stat", Path: at, Err: err}
		}
		if st.Uid != 0 || st.Mode&0o022 != 0 {
			return fmt.Errorf("%s %w (owner %d, mode %04o)", at, errOthers, st.Uid, st.Mode&0o7777)
		}
		if at == "/" {
			return nil
		}
	}
}

// real is a path as seen from the root, links resolved.
func (m *Machine) real(path string) (string, error) {
	f, err := m.open(path, unix.O_PATH)
	if err != nil {
		return "", err
	}
	defer f.Close()
	real, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	if err != nil {
		return "", err
	}
	rel, err := filepath.Rel(m.root(), real)
	return filepath.Join("/", rel), err
}

func (m *Machine) exists(path string) bool {
	f, err := m.open(path, unix.O_PATH)
	if err != nil {
		return errors.Is(err, fs.ErrPermission)
	}
	f.Close()
	return true
}

// glob lists what is below the root, as seen from there, in order.
func (m *Machine) glob(pattern string) []string {
	found, _ := filepath.Glob(filepath.Join(m.root(), pattern))
	var out []string
	for _, f := range found {
		if rel, err := filepath.Rel(m.root(), f); err == nil {
			out = append(out, "/"+rel)
		}
	}
	return out
}

// program finds a program by name where systems keep them; "" if it is not there.
func (m *Machine) program(name string) string {
	for _, dir := range []string{"/usr/bin", "/usr/local/bin", "/usr/libexec", "/usr/lib", "/usr/sbin", "/bin"} {
		if path := dir + "/" + name; m.exists(path) {
			return path
		}
	}
	for _, pattern := range []string{"/usr/lib/*/" + name, "/usr/lib/*/libexec/" + name, "/usr/libexec/*/" + name} {
		if found := m.glob(pattern); len(found) > 0 {
			return found[0]
		}
	}
	return ""
}

// unread is the finding for what could not be looked at.
func (m *Machine) unread(err error, what string, a ...any) Finding {
	what = fmt.Sprintf(what, a...)
	switch {
	case errors.Is(err, errOthers):
		return fail("chown root and chmod go-w what is named", "%s: %v", what, err)
	case errors.Is(err, fs.ErrPermission) && m.UID != 0:
		return note("run doctor as root", "%s: only root may look", what)
	}
	return warn("correct that", "%s: %v", what, err)
}

// hasMembers reports whether a group has members, by the local files.
func (m *Machine) hasMembers(group string) bool {
	groups, err := m.text("/etc/group")
	if err != nil {
		return true
	}
	for _, g := range fields(groups) {
		if len(g) < 4 || g[0] != group {
			continue
		}
		if g[3] != "" {
			return true
		}
		users, err := m.text("/etc/passwd")
		return err != nil || slices.ContainsFunc(fields(users), func(u []string) bool { return len(u) > 3 && u[3] == g[2] })
	}
	return false
}

// fields splits a file of lines with colons.
func fields(text string) [][]string {
	var out [][]string
	for l := range strings.Lines(text) {
		if l = strings.TrimSpace(l); l != "" && !strings.HasPrefix(l, "#") {
			out = append(out, strings.Split(l, ":"))
		}
	}
	return out
}

// shown reads what `systemctl show` and its like print: KEY=VALUE lines.
func shown(out []byte) map[string]string {
	kv := map[string]string{}
	for l := range strings.Lines(string(out)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(l), "="); ok {
			kv[k] = v
		}
	}
	return kv
}

// environ is what programs are run with.
func environ() []string { return []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"} }
