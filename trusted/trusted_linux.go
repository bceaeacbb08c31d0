package trusted

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Read reads at most so many bytes of a file that nobody but root and owner can have written: a regular file of one of
// them with one link, writable by nobody else, reached without a link, below directories that Dirs accepts.
func Read(path string, owner uint32, most int64) ([]byte, error) {
	f, err := open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, owner, sticky)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most))
}

// Secret is Read for a file that others must not even read: of its group it may be readable, so that root can give it to one
// program, and to nobody else.
func Secret(path string, owner uint32, most int64) ([]byte, error) {
	f, err := open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, owner, sticky)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, &os.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	if st.Mode&0o007 != 0 {
		return nil, fmt.Errorf("%s: %w: it is a secret that others may read; run: chmod o-rwx %s", f.Name(), ErrUnsafe, f.Name())
	}
	return io.ReadAll(io.LimitReader(f, most))
}

// Roots returns nil for a file that nobody but root can have written, and that nobody but root can have put there. That is
// more than Read asks for: into a sticky directory that all may write, such as /tmp, a user can move a file of root's
// that lies in a directory of his own. The file need not be readable.
func Roots(path string) error {
	f, err := open(path, unix.O_PATH, 0, nobodyElse)
	if err != nil {
		return err
	}
	return f.Close()
}

// Dirs checks every directory up to the root: owned by root or owner, and writable by nobody else unless sticky, where
// others cannot rename what is not theirs.
func Dirs(dir string, owner uint32) error { return dirs(dir, owner, sticky) }

// Who else may write a directory.
const (
	sticky     = true // all, if it is sticky
	nobodyElse = false
)

func open(path string, flags uint64, owner uint32, sticky bool) (*os.File, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Openat2(unix.AT_FDCWD, abs, &unix.OpenHow{
		Flags:   flags | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err == unix.ELOOP {
		return nil, fmt.Errorf("%s: %w: it is reached through a symbolic link; use the real path", abs, ErrUnsafe)
	}
	if err == unix.ENXIO { // a socket, or a device that nothing drives
		return nil, notRegular(abs)
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: abs, Err: err}
	}
	f := os.NewFile(uintptr(fd), abs)
	if err = judge(f, owner); err == nil {
		err = dirs(filepath.Dir(abs), owner, sticky)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func judge(f *os.File, owner uint32) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return &os.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return notRegular(f.Name())
	case st.Uid != 0 && st.Uid != owner:
		return fmt.Errorf("%s: %w: owned by uid %d; run: chown root %s", f.Name(), ErrUnsafe, st.Uid, f.Name())
	case st.Mode&0o022 != 0:
		return fmt.Errorf("%s: %w: others may write it; run: chmod go-w %s", f.Name(), ErrUnsafe, f.Name())
	case st.Nlink != 1:
		return fmt.Errorf("%s: %w: it has %d hard links; copy it to a file of its own", f.Name(), ErrUnsafe, st.Nlink)
	}
	return nil
}

func notRegular(path string) error {
	return fmt.Errorf("%s: %w: not a regular file; put a plain file there", path, ErrUnsafe)
}

func dirs(dir string, owner uint32, sticky bool) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	for {
		var st unix.Stat_t
		if err := unix.Lstat(dir, &st); err != nil {
			return &os.PathError{Op: "stat", Path: dir, Err: err}
		}
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			return fmt.Errorf("%s: %w: not a directory; use a real one, reached without a symbolic link", dir, ErrUnsafe)
		}
		if st.Uid != 0 && st.Uid != owner {
			return fmt.Errorf("%s: %w: the directory is owned by uid %d; run: chown root %s", dir, ErrUnsafe, st.Uid, dir)
		}
		if st.Mode&0o022 != 0 && !(sticky && st.Mode&unix.S_ISVTX != 0) {
			return fmt.Errorf("%s: %w: others may write the directory; run: chmod go-w %s", dir, ErrUnsafe, dir)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
		dir = filepath.Dir(dir)
	}
}
