package sink

import (
	"context"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// flushed waits until the receiver's machine has acknowledged every byte that was written.
func (c *conversation) flushed(ctx context.Context) error {
	tcp, ok := c.raw.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return err
	}
	for wait := 100 * time.Microsecond; ; wait = min(2*wait, 50*time.Millisecond) {
		left, got := 0, error(nil)
		if err := raw.Control(func(fd uintptr) { left, got = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) }); err != nil {
			return err
		}
		if got != nil || left == 0 {
			return got
		}
		select {
		case err := <-c.heard:
			c.heard <- err
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}
