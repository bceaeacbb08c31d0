package notify

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"stepaway/asuser"
	"stepaway/words"
)

// maxLine is the longest line written on a terminal, in characters.
const maxLine = 200

// WriteTTY writes a line on the terminal of uid, with a bell. tty is the device below /dev, such as "pts/3". The
// terminal is hostile: it must be a character device of uid's, it is opened without following a link and without
// becoming ours, and a terminal that takes nothing costs no more than a second.
func WriteTTY(tty string, uid uint32, line string) error {
	if !filepath.IsLocal(tty) || filepath.Clean(tty) != tty {
		return fmt.Errorf("warn on terminal %q: not a device below /dev", tty)
	}
	if err := writeTTY("/dev/"+tty, uid, line); err != nil {
		return fmt.Errorf("warn on terminal %s: %w", tty, err)
	}
	return nil
}

func writeTTY(path string, uid uint32, line string) error {
	fd, err := openAs(uid, path)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	if err := terminalOf(fd, uid); err != nil {
		return err
	}
	return writeWithin(fd, []byte("\a\r\n"+terminalLine(line)+"\r\n"), time.Second)
}

// openAs opens a terminal as its owner, who may write on it also where he let nobody else (mesg n).
func openAs(uid uint32, path string) (fd int, err error) {
	refused := asuser.Do(uid, asuser.NoGroup, func() {
		fd, err = unix.Open(path, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
	if refused != nil {
		return -1, refused
	}
	return fd, err
}

// terminalOf checks the open file, so that nothing can be put in its place between the check and the use.
func terminalOf(fd int, uid uint32) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFCHR:
		return errors.New("not a character device")
	case st.Uid != uid:
		return fmt.Errorf("belongs to uid %d, not %d", st.Uid, uid)
	}
	if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err != nil {
		return fmt.Errorf("not a terminal: %w", err)
	}
	return nil
}

// writeWithin writes b unless that takes longer than limit. The descriptor does not block.
func writeWithin(fd int, b []byte, limit time.Duration) error {
	for end := time.Now().Add(limit); len(b) > 0; {
		n, err := unix.Write(fd, b)
		switch {
		case n > 0:
			b = b[n:]
		case err == unix.EINTR:
		case err != nil && err != unix.EAGAIN:
			return err
		default:
			if err := writable(fd, time.Until(end)); err != nil {
				return err
			}
		}
	}
	return nil
}

// writable waits until fd takes more.
func writable(fd int, limit time.Duration) error {
	if limit <= 0 {
		return os.ErrDeadlineExceeded
	}
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	_, err := unix.Poll(p, int(limit.Milliseconds())+1)
	if err == unix.EINTR {
		return nil
	}
	return err
}

// terminalLine makes one line of printable characters that no terminal takes for a command.
func terminalLine(s string) string {
	line := []rune(strings.TrimSpace(words.Clean(strings.ToValidUTF8(s, ""))))
	return string(line[:min(len(line), maxLine)])
}
