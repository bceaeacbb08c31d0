package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// settle is how long a change rests before it is told, so that an editor's several steps are mostly one change.
	settle = 200 * time.Millisecond
	// absent is how often a directory that is not there is looked for.
	absent = 30 * time.Second
)

// Watch sends on the channel after the source changed on disk, until ctx ends, and then closes it. Changes
// while the receiver is busy are one. It sleeps in the kernel between changes; only while the file's directory
// is missing does it look for it twice a minute.
func (s Source) Watch(ctx context.Context) (<-chan struct{}, error) {
	return s.watch(ctx, settle, absent)
}

func (s Source) watch(ctx context.Context, settle, absent time.Duration) (<-chan struct{}, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch policy: %w", err)
	}
	f := os.NewFile(uintptr(fd), "inotify")
	err = s.watchDirs(f)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		f.Close()
		return nil, err
	}
	changed := make(chan struct{}, 1)
	context.AfterFunc(ctx, func() { f.Close() })
	go s.follow(f, changed, err == nil, settle, absent)
	return changed, nil
}

// watchDirs adds the directories to f, again if need be: each may have come, gone or been replaced.
// The directory of the file is told when one of the others is made.
func (s Source) watchDirs(f *os.File) error {
	err := addWatch(f, filepath.Dir(s.Path))
	for _, dir := range []string{s.dropInDir(), s.approvalsDir()} {
		if err != nil {
			return err
		}
		if err = addWatch(f, dir); errors.Is(err, os.ErrNotExist) {
			err = nil
		}
	}
	return err
}

func addWatch(f *os.File, dir string) error {
	const what = unix.IN_CREATE | unix.IN_CLOSE_WRITE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE |
		unix.IN_ATTRIB | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
	raw, err := f.SyscallConn()
	if err != nil {
		return fmt.Errorf("watch %s: %w", dir, err)
	}
	var addErr error
	err = raw.Control(func(fd uintptr) { _, addErr = unix.InotifyAddWatch(int(fd), dir, what) })
	if err = errors.Join(err, addErr); err != nil {
		return fmt.Errorf("watch %s: %w", dir, err)
	}
	return nil
}

func (s Source) follow(f *os.File, changed chan<- struct{}, watched bool, settle, absent time.Duration) {
	defer close(changed)
	buf := make([]byte, 64<<10)
	for {
		var until time.Time
		if !watched {
			until = time.Now().Add(absent)
		}
		f.SetReadDeadline(until)
		_, err := f.Read(buf)
		late := errors.Is(err, os.ErrDeadlineExceeded)
		if err != nil && !late {
			return
		}
		watched = s.watchDirs(f) == nil
		if late && !watched {
			continue
		}
		time.Sleep(settle)
		select {
		case changed <- struct{}{}:
		default:
		}
	}
}
