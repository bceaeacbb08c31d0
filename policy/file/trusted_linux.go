package file

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// readTrusted reads a file that nobody but root and owner can have written. Everything is checked on the
// open descriptor, so a swap between check and read changes nothing.
func readTrusted(path string, owner uint32, most int64) ([]byte, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Openat2(unix.AT_FDCWD, abs, &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY,
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
	defer f.Close()
	if err := trusted(f, owner); err != nil {
		return nil, err
	}
	if err := trustedDirs(filepath.Dir(abs), owner); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(f, most))
}

func trusted(f *os.File, owner uint32) error {
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

// trustedDirs checks every directory up to the root: owned by root or owner, and writable by nobody else
// unless sticky, where others cannot rename what is not theirs.
func trustedDirs(dir string, owner uint32) error {
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
		if st.Mode&0o022 != 0 && st.Mode&unix.S_ISVTX == 0 {
			return fmt.Errorf("%s: %w: others may write the directory; run: chmod go-w %s", dir, ErrUnsafe, dir)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
		dir = filepath.Dir(dir)
	}
}
