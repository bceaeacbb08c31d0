package lock

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// empty deletes what is in a directory of the user's and returns how many entries are left.
func (s *sweeper) empty(at, depth int) (left int) {
	dir, err := s.list(at)
	if err != nil {
		return 1
	}
	defer dir.Close()
	for range maxPasses {
		before := s.cleared
		left = s.pass(dir, depth)
		if s.cleared == before || s.over() {
			break
		}
		if _, err := dir.Seek(0, io.SeekStart); err != nil {
			return left + 1
		}
	}
	return left
}

// list opens a directory for reading, and makes it one that its owner can delete from.
func (s *sweeper) list(at int) (*os.File, error) {
	var st unix.Stat_t
	if err := unix.Fstat(at, &st); err != nil {
		return nil, err
	}
	if st.Mode&0o700 != 0o700 {
		if err := unix.Fchmodat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", at), st.Mode&0o7777|0o700, 0); err != nil {
			return nil, err
		}
	}
	fd, err := openDir(at, ".", unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "cache"), nil
}

// pass goes through a directory once.
func (s *sweeper) pass(dir *os.File, depth int) (left int) {
	for {
		names, err := dir.Readdirnames(nameBatch)
		for _, name := range names {
			if s.over() {
				return left + 1
			}
			left += s.remove(int(dir.Fd()), name, depth)
		}
		if err == io.EOF {
			return left
		}
		if err != nil {
			return left + 1
		}
	}
}
