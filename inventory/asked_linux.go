package inventory

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Requests hints on the channel whenever a request may have been left, until ctx ends. It sleeps in the kernel.
func (f Folder) Requests(ctx context.Context) (<-chan struct{}, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch for requests: %w", err)
	}
	if _, err := unix.InotifyAddWatch(fd, string(f), unix.IN_MOVED_TO); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("watch %s for requests: %w", f, err)
	}
	n := os.NewFile(uintptr(fd), "inotify")
	stop := context.AfterFunc(ctx, func() { n.Close() })
	out := make(chan struct{}, 1)
	go func() {
		defer stop()
		defer n.Close()
		for buf := make([]byte, 4096); ; {
			if _, err := n.Read(buf); err != nil {
				return
			}
			select {
			case out <- struct{}{}:
			default:
			}
		}
	}()
	return out, nil
}
