package sdnotify

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Beat answers the watchdog, which then waits as long as within for the next. It waits for nobody: a service manager that
// does not read is not told. It takes system calls that the Go scheduler need not follow, since for an idle program this is
// most of what it does.
func Beat(within time.Duration) error {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("answer the watchdog: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, beat(within), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, &unix.SockaddrUnix{Name: name}); err != nil {
		return fmt.Errorf("answer the watchdog: %w", err)
	}
	return nil
}

func beat(within time.Duration) []byte {
	return fmt.Appendf(nil, "WATCHDOG=1\nWATCHDOG_USEC=%d", within.Microseconds())
}
