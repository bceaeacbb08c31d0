package file

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sys/windows"
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
	stop, err := windows.CreateEvent(nil, 1, 0, nil)
	if err != nil {
		return nil, fmt.Errorf("watch policy: %w", err)
	}
	changed, stopped := make(chan struct{}, 1), make(chan struct{})
	context.AfterFunc(ctx, func() {
		windows.SetEvent(stop)
		close(stopped)
	})
	w := watch{s, stop, nil}
	whole := w.arm()
	go func() {
		defer close(changed)
		w.follow(changed, whole)
		<-stopped // the event is not closed while it is being set
		windows.CloseHandle(stop)
	}()
	return changed, nil
}

// watch holds what tells of changes.
type watch struct {
	s    Source
	stop windows.Handle
	dirs []windows.Handle
}

// arm watches the directories that are there now, in place of those before, and reports whether that of the file is. Each
// may have come, gone or been replaced.
func (w *watch) arm() (whole bool) {
	const what = windows.FILE_NOTIFY_CHANGE_FILE_NAME | windows.FILE_NOTIFY_CHANGE_DIR_NAME | windows.FILE_NOTIFY_CHANGE_SIZE |
		windows.FILE_NOTIFY_CHANGE_LAST_WRITE | windows.FILE_NOTIFY_CHANGE_SECURITY
	w.disarm()
	own := filepath.Dir(w.s.Path)
	for _, dir := range []string{own, w.s.dropInDir(), w.s.approvalsDir()} {
		if h, err := windows.FindFirstChangeNotification(dir, false, what); err == nil {
			w.dirs = append(w.dirs, h)
			whole = whole || dir == own
		}
	}
	return whole
}

func (w *watch) disarm() {
	for _, h := range w.dirs {
		_ = windows.FindCloseChangeNotification(h)
	}
	w.dirs = nil
}

// follow tells of changes until the end. What changes after a directory was armed anew is told as well.
func (w *watch) follow(changed chan<- struct{}, whole bool) {
	defer w.disarm()
	for {
		wait := uint32(windows.INFINITE)
		if !whole {
			wait = uint32(absent.Milliseconds())
		}
		event, err := windows.WaitForMultipleObjects(append([]windows.Handle{w.stop}, w.dirs...), false, wait)
		if err != nil || event == windows.WAIT_OBJECT_0 {
			return
		}
		whole = w.arm()
		if event == uint32(windows.WAIT_TIMEOUT) && !whole {
			continue
		}
		time.Sleep(settle)
		select {
		case changed <- struct{}{}:
		default:
		}
	}
}
