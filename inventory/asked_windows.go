package inventory

import (
	"context"
	"fmt"

	"golang.org/x/sys/windows"
)

// Requests hints on the channel whenever a request may have been left, until ctx ends. It sleeps in the kernel.
func (f Folder) Requests(ctx context.Context) (<-chan struct{}, error) {
	changed, err := windows.FindFirstChangeNotification(string(f), false, windows.FILE_NOTIFY_CHANGE_FILE_NAME)
	if err != nil {
		return nil, fmt.Errorf("watch %s for requests: %w", f, err)
	}
	stop, err := windows.CreateEvent(nil, 1, 0, nil)
	if err != nil {
		_ = windows.FindCloseChangeNotification(changed)
		return nil, fmt.Errorf("watch for requests: %w", err)
	}
	stopped, out := make(chan struct{}), make(chan struct{}, 1)
	context.AfterFunc(ctx, func() {
		_ = windows.SetEvent(stop)
		close(stopped)
	})
	go func() {
		hint(changed, stop, out)
		<-stopped // the event is not closed while it is being set
		_ = windows.CloseHandle(stop)
		_ = windows.FindCloseChangeNotification(changed)
	}()
	return out, nil
}

// hint hints after every change until it is stopped.
func hint(changed, stop windows.Handle, out chan<- struct{}) {
	for {
		event, err := windows.WaitForMultipleObjects([]windows.Handle{stop, changed}, false, windows.INFINITE)
		if err != nil || event == windows.WAIT_OBJECT_0 {
			return
		}
		if windows.FindNextChangeNotification(changed) != nil {
			return
		}
		select {
		case out <- struct{}{}:
		default:
		}
	}
}
