package lock

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"stepaway/policy"
)

// resolveLimit is for resolving the paths of a policy: one may lead to where nothing answers.
const resolveLimit = 2 * time.Second

// matcher knows a client's executables for one look at all processes.
type matcher struct {
	c     *closing
	want  []executable
	signs map[fileID]bool // whether an executable is the publisher's
}

func (c *closing) matcher() *matcher {
	m := &matcher{c: c, signs: map[fileID]bool{}}
	got := make(chan []executable, 1)
	paths := c.c.Paths
	err := c.within(context.Background(), resolveLimit, "find "+c.c.Name, func() { got <- executables(paths, true) })
	select {
	case m.want = <-got:
	default:
		c.o.Log.Warn("lock: the paths of a client could not be resolved in time", "client", c.c.Name, "err", err)
		m.want = executables(paths, false)
	}
	return m
}

// executable is one of the paths that a policy names.
type executable struct {
	pattern string
	real    string // the same with links, drives made by subst and short names resolved; "" if that cannot be told
	id      fileID // of a path without wildcards; zero if that cannot be told
}

// executables resolves the paths of a policy if told to.
func executables(paths []string, resolve bool) []executable {
	var out []executable
	for _, p := range paths {
		if !filepath.IsAbs(p) {
			continue
		}
		e := executable{pattern: filepath.Clean(p)}
		if resolve {
			e.resolve()
		}
		out = append(out, e)
	}
	return out
}

// resolve finds out where a path leads, or the part of it before wildcards.
func (e *executable) resolve() {
	fixed, rest := splitPattern(e.pattern)
	h, err := openPath(fixed)
	if err != nil {
		return
	}
	defer windows.CloseHandle(h)
	if real, err := finalPath(h); err == nil {
		e.real = filepath.Join(real, rest)
	}
	if rest == "" {
		e.id, _ = idOf(h)
	}
}

// splitPattern parts a path before its first name with a wildcard.
func splitPattern(pattern string) (fixed, rest string) {
	i := strings.IndexAny(pattern, "*?")
	if i < 0 {
		return pattern, ""
	}
	i = strings.LastIndexByte(pattern[:i], '\\') + 1
	return pattern[:i], pattern[i:]
}

// is compares with a path of a process's executable.
func (e executable) is(path string) bool {
	return policy.PathMatches(e.pattern, path) || e.real != "" && policy.PathMatches(e.real, path)
}

// matches compares the executable, and the publisher if policy names one.
func (m *matcher) matches(p *process) bool {
	native, _ := p.image(windows.PROCESS_NAME_NATIVE)
	byDrive, _ := p.image(0) // an executable that an upgrade has replaced counts by the path it had
	file, err := openImage(native, byDrive, m.c.c.Publisher != "")
	if err != nil {
		return m.c.c.Publisher == "" && m.named(byDrive)
	}
	defer windows.CloseHandle(file)
	real, _ := finalPath(file)
	id, _ := idOf(file)
	return (m.named(byDrive) || m.named(real) || m.same(id)) && m.published(file, byDrive, id)
}

func (m *matcher) named(path string) bool {
	for _, e := range m.want {
		if path != "" && e.is(path) {
			return true
		}
	}
	return false
}

func (m *matcher) same(id fileID) bool {
	for _, e := range m.want {
		if id != (fileID{}) && e.id == id {
			return true
		}
	}
	return false
}

// published reports whether the publisher that policy names has signed an executable. What cannot be told is not his.
func (m *matcher) published(file windows.Handle, path string, id fileID) bool {
	if m.c.c.Publisher == "" {
		return true
	}
	if is, known := m.signs[id]; known && id != (fileID{}) {
		return is
	}
	name, err := signer(file, path)
	is := err == nil && strings.EqualFold(name, m.c.c.Publisher)
	if !is {
		m.c.o.Log.Warn("lock: a program at a client's path is not of the client's publisher", "client", m.c.c.Name, "err", err)
	}
	m.signs[id] = is
	return is
}

var errElsewhere = errors.New("not on a local disk")

// openImage opens an executable by its path as the kernel has it, which has no link left in it, so none is followed. One
// that was put there since could lead this service into the network; so nothing is opened that is not on a local disk.
func openImage(native, byDrive string, read bool) (windows.Handle, error) {
	drive := filepath.VolumeName(byDrive) + `\`
	rest, ok := strings.CutPrefix(byDrive, drive)
	if !strings.HasPrefix(strings.ToLower(native), localDisk) || len(drive) != len(`C:\`) || !ok || rest == "" {
		return 0, fmt.Errorf("open an executable: %w", errElsewhere)
	}
	root, err := openPath(drive)
	if err != nil {
		return 0, fmt.Errorf("open an executable: %w", err)
	}
	defer windows.CloseHandle(root)
	h, err := openBelow(root, rest, read)
	if err != nil {
		return 0, fmt.Errorf("open an executable: %w", err)
	}
	return h, nil
}

// localDisk begins the names of volumes that are not a server's.
const localDisk = `\device\harddiskvolume`

// openBelow opens a file below an open directory and follows no link on the way.
func openBelow(dir windows.Handle, path string, read bool) (h windows.Handle, err error) {
	name, err := windows.NewNTUnicodeString(path)
	if err != nil {
		return 0, err
	}
	access := uint32(windows.FILE_READ_ATTRIBUTES | windows.SYNCHRONIZE)
	if read {
		access |= windows.FILE_READ_DATA
	}
	oa := windows.OBJECT_ATTRIBUTES{RootDirectory: dir, ObjectName: name, Attributes: windows.OBJ_CASE_INSENSITIVE | windows.OBJ_DONT_REPARSE}
	oa.Length = uint32(unsafe.Sizeof(oa))
	var io windows.IO_STATUS_BLOCK
	err = windows.NtCreateFile(&h, access, &oa, &io, nil, 0, shareAll, windows.FILE_OPEN,
		windows.FILE_NON_DIRECTORY_FILE|windows.FILE_SYNCHRONOUS_IO_NONALERT, 0, 0)
	return h, err
}

const shareAll = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE

var errNoFile = errors.New("it is neither file nor directory")

// openPath opens a file or directory that a policy names. The path is the administrator's word, so links in it are followed.
func openPath(path string) (windows.Handle, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, err
	}
	h, err := windows.CreateFile(name, windows.FILE_READ_ATTRIBUTES, shareAll, nil, windows.OPEN_EXISTING, windows.FILE_FLAG_BACKUP_SEMANTICS, 0)
	if err != nil {
		return 0, err
	}
	if kind, err := windows.GetFileType(h); err != nil || kind != windows.FILE_TYPE_DISK {
		windows.CloseHandle(h)
		return 0, errors.Join(errNoFile, err)
	}
	return h, nil
}

// finalPath is where an open file is, by its drive: C:\...
func finalPath(h windows.Handle) (string, error) {
	b := make([]uint16, windows.MAX_LONG_PATH)
	n, err := windows.GetFinalPathNameByHandle(h, &b[0], uint32(len(b)), 0) // FILE_NAME_NORMALIZED | VOLUME_NAME_DOS
	if err != nil || int(n) >= len(b) {
		return "", fmt.Errorf("ask where a file is: %w", err)
	}
	return strings.TrimPrefix(windows.UTF16ToString(b[:n]), `\\?\`), nil
}

// fileID is FILE_ID_INFO: one file on this machine.
type fileID struct {
	volume uint64
	id     [16]byte
}

func idOf(h windows.Handle) (fileID, error) {
	var id fileID
	err := windows.GetFileInformationByHandleEx(h, windows.FileIdInfo, (*byte)(unsafe.Pointer(&id)), uint32(unsafe.Sizeof(id)))
	if err != nil {
		return fileID{}, fmt.Errorf("ask which file it is: %w", err)
	}
	return id, nil
}
