package probe

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// do does what is asked, and returns how many windows were asked to close. The clipboard is emptied once at a time: a program that
// has it and does not answer (WM_DESTROYCLIPBOARD) keeps whoever empties it waiting.
func do(a asked, clipboard chan struct{}) (n int, err error) {
	runtime.LockOSThread() // the clipboard is opened by a thread
	defer runtime.UnlockOSThread()
	switch {
	case a.Lock:
		return 0, lockWorkStation()
	case !a.Clipboard:
		return closeWindows(a.Close)
	}
	select {
	case clipboard <- struct{}{}:
		defer func() { <-clipboard }()
		return 0, clearClipboard()
	default:
		return 0, windows.ERROR_BUSY
	}
}

const (
	wmClose = 0x0010
	gwOwner = 4
)

// closeWindows posts WM_CLOSE to the windows of some processes that can be seen and belong to no other that can, as a click on
// their cross does. A dialog belongs to its window, and is left to the user; a hidden owner is how some programs are made.
func closeWindows(pids []uint32) (asks int, err error) {
	all, err := topWindows()
	if err != nil {
		return 0, fmt.Errorf("list the windows: %w", err)
	}
	var failed error
	for _, w := range all {
		var pid uint32
		if _, err := windows.GetWindowThreadProcessId(w, &pid); err != nil || !slices.Contains(pids, pid) {
			continue
		}
		if owner := getWindow(w, gwOwner); !windows.IsWindowVisible(w) || owner != 0 && windows.IsWindowVisible(owner) {
			continue
		}
		if err := postMessage(w, wmClose, 0, 0); err != nil {
			failed = err
			continue
		}
		asks++
	}
	if asks == 0 {
		return 0, failed
	}
	return asks, nil
}

// eachWindow is made once: Windows lets a Go program make only so many.
var eachWindow = sync.OnceValue(func() uintptr {
	return windows.NewCallback(func(w windows.HWND, list *[]windows.HWND) uintptr {
		*list = append(*list, w)
		return 1
	})
})

// topWindows lists the windows of this thread's desktop that are in no other.
func topWindows() ([]windows.HWND, error) {
	list := new([]windows.HWND)
	err := windows.EnumWindows(eachWindow(), unsafe.Pointer(list))
	return *list, err
}

const (
	clipboardTries = 10 // another program may have it open
	clipboardAgain = 50 * time.Millisecond
)

// clearClipboard takes what is on the clipboard away. The history that a user may have switched on keeps its own.
func clearClipboard() error {
	err := openClipboard(0)
	for range clipboardTries {
		if err == nil {
			break
		}
		time.Sleep(clipboardAgain)
		err = openClipboard(0)
	}
	if err != nil {
		return fmt.Errorf("open the clipboard: %w", err)
	}
	return errors.Join(emptyClipboard(), closeClipboard())
}
