package sdnotify

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
)

// firstInherited is the first descriptor that a service manager hands over.
const firstInherited = 3

// Listener takes the socket at path that the service manager made and handed over, as sd_listen_fds(3) says. It is nil
// where there is none. What is handed over in its place, or beside it, is closed. Call it once, before anything is started.
func Listener(path string) (*net.UnixListener, error) {
	pid, count := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		os.Unsetenv(name)
	}
	if pid != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > 64 {
		return nil, fmt.Errorf("take the service manager's sockets: %q of them", count)
	}
	var found *net.UnixListener
	for fd := firstInherited; fd < firstInherited+n; fd++ {
		syscall.CloseOnExec(fd)
		if l := listener(fd, path); l != nil && found == nil {
			found = l
		} else if l != nil {
			l.Close()
		}
	}
	return found, nil
}

// listener is that of a descriptor, which it closes, if it listens at path.
func listener(fd int, path string) *net.UnixListener {
	f := os.NewFile(uintptr(fd), "inherited")
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil
	}
	if u, ok := l.(*net.UnixListener); ok && u.Addr().String() == path && listens(fd) {
		return u
	}
	l.Close()
	return nil
}

func listens(fd int) bool {
	n, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN)
	return err == nil && n == 1
}
