package file

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// settle is how long a change must rest before it is read, so that an editor's several steps are one change.
const settle = 200 * time.Millisecond

// Watch sends on the channel after the source changed on disk, until ctx ends. It sleeps in the kernel
// between changes. The directory of the file must exist; policy.d is watched if it is there at the start.
func (s Source) Watch(ctx context.Context) (<-chan struct{}, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch policy: %w", err)
	}
	f := os.NewFile(uintptr(fd), "inotify")
	const what = unix.IN_CLOSE_WRITE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE | unix.IN_ATTRIB
	if _, err := unix.InotifyAddWatch(fd, filepath.Dir(s.Path), what); err != nil {
		f.Close()
		return nil, fmt.Errorf("watch %s: %w", filepath.Dir(s.Path), err)
	}
	if _, err := unix.InotifyAddWatch(fd, s.dropInDir(), what); err != nil && err != unix.ENOENT {
		f.Close()
		return nil, fmt.Errorf("watch %s: %w", s.dropInDir(), err)
	}
	changed := make(chan struct{}, 1)
	context.AfterFunc(ctx, func() { f.Close() })
	go s.follow(f, changed)
	return changed, nil
}

func (s Source) follow(f *os.File, changed chan<- struct{}) {
	defer close(changed)
	buf := make([]byte, 64<<10)
	for {
		if _, err := f.Read(buf); err != nil {
			return
		}
		time.Sleep(settle)
		select {
		case changed <- struct{}{}:
		default:
		}
	}
}
