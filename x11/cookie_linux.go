package x11

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// ReadCookie reads the cookie of display from the Xauthority file at path. Path and file are hostile: no link at its end
// is followed, and only a regular file of at most 256 KiB is opened, which, where owners are given, belongs to one of
// them. Opening alone does something to a device: it starts a watchdog that resets the machine.
func ReadCookie(path, display string, owners ...uint32) (Cookie, error) {
	b, err := readPlain(path, owners)
	if err != nil {
		return Cookie{}, fmt.Errorf("x11: reading the cookies of %s: %w", display, err)
	}
	host, _ := os.Hostname()
	return pickCookie(b, display, host)
}

func readPlain(path string, owners []uint32) ([]byte, error) {
	f, err := openPlain(path, owners)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxXauthority+1))
	if err == nil && len(b) > maxXauthority {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxXauthority)
	}
	return b, err
}

// openPlain takes hold of a file without opening it, looks at what it is, and opens that very one.
func openPlain(path string, owners []uint32) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if len(owners) > 0 && !slices.Contains(owners, st.Uid) {
		return nil, fmt.Errorf("%s belongs to uid %d", path, st.Uid)
	}
	return os.OpenFile("/proc/self/fd/"+strconv.Itoa(fd), os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
}
