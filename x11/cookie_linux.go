package x11

import (
	"fmt"
	"io"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// ReadCookie reads the cookie of display from the Xauthority file at path. The file is hostile: it is opened
// without following a link at its end and without waiting, must be a regular file of at most 256 KiB, and, where
// owners are given, must belong to one of them.
func ReadCookie(path, display string, owners ...uint32) (Cookie, error) {
	b, err := readPlain(path, owners)
	if err != nil {
		return Cookie{}, fmt.Errorf("x11: reading the cookies of %s: %w", display, err)
	}
	host, _ := os.Hostname()
	return pickCookie(b, display, host)
}

func readPlain(path string, owners []uint32) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if len(owners) > 0 && !slices.Contains(owners, st.Uid) {
		return nil, fmt.Errorf("%s belongs to uid %d", path, st.Uid)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxXauthority+1))
	if err == nil && len(b) > maxXauthority {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxXauthority)
	}
	return b, err
}
