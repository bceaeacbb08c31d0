package registry

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/windows"
	win "golang.org/x/sys/windows/registry"

	"stepaway/policy"
)

const (
	// settle is how long it must be quiet after a change before it is told: group policy deletes and writes value by value.
	settle = 500 * time.Millisecond
	// restless is how long after a change it is told although it is not quiet.
	restless = 1500 * time.Millisecond
	// again is when a watch that could not be set is set again.
	again = 30 * time.Second
)

// Watch sends on the channel after the policy below the root changed, came or went, within two seconds, until ctx ends, and
// then closes it. Changes while the receiver is busy are one. What changed before Watch returned is not told: read after it.
func (Source) Watch(ctx context.Context) (<-chan struct{}, error) {
	stop, err := windows.CreateEvent(nil, 1, 0, nil)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", policy.RegistryName, err)
	}
	w := &watch{stop: stop, stopped: make(chan struct{})}
	if err := w.arm(); err != nil {
		w.close()
		return nil, err
	}
	changed := make(chan struct{}, 1)
	context.AfterFunc(ctx, func() {
		windows.SetEvent(stop)
		close(w.stopped)
	})
	go func() {
		defer close(changed)
		w.follow(changed)
		<-w.stopped // the event is not closed while it is being set
		w.close()
	}()
	return changed, nil
}

// watch holds the handles of one arming. A registration is good for one change, and closing its key sets its event too; so
// each arming has keys and an event of its own, and the old ones are closed only when the new ones stand.
type watch struct {
	stop    windows.Handle // set once: the end
	stopped chan struct{}  // closed after that
	changed windows.Handle // set by a change, or 0 if nothing could be armed
	keys    []win.Key
}

// path leads to the root. The first key is there on every Windows.
var path = []string{`Software`, `Software\Policies`, policy.RegistryRoot}

// arm watches the root, if it is there, and the names below each key on the way to it. It goes from the top down: what comes
// after a key was not found is told by its parent.
func (w *watch) arm() error {
	old := *w
	w.changed, w.keys = 0, nil
	defer old.release()
	event, err := windows.CreateEvent(nil, 1, 0, nil)
	if err != nil {
		return fmt.Errorf("watch %s: %w", policy.RegistryName, err)
	}
	w.changed = event
	for _, p := range path {
		err := w.armKey(p, p == policy.RegistryRoot)
		if gone(err) && p != path[0] {
			return nil
		}
		if err != nil {
			w.release()
			return fmt.Errorf(`watch HKLM\%s: %w`, p, err)
		}
	}
	return nil
}

// armKey watches the names of the subkeys of one key, or all below it.
func (w *watch) armKey(path string, all bool) error {
	k, err := win.OpenKey(win.LOCAL_MACHINE, path, win.NOTIFY|win.WOW64_64KEY)
	if err != nil {
		return err
	}
	what := uint32(windows.REG_NOTIFY_CHANGE_NAME | windows.REG_NOTIFY_THREAD_AGNOSTIC)
	if all {
		what |= windows.REG_NOTIFY_CHANGE_LAST_SET
	}
	if err := windows.RegNotifyChangeKeyValue(windows.Handle(k), all, what, w.changed, true); err != nil {
		k.Close()
		return err
	}
	w.keys = append(w.keys, k)
	return nil
}

// release closes what one arming holds.
func (w *watch) release() {
	for _, k := range w.keys {
		k.Close()
	}
	if w.changed != 0 {
		windows.CloseHandle(w.changed)
	}
	w.changed, w.keys = 0, nil
}

func (w *watch) close() {
	w.release()
	windows.CloseHandle(w.stop)
}

// follow tells of changes until the end. Where the watch cannot be set, nobody knows what changes: the receiver is told to
// look each time it is tried again.
func (w *watch) follow(changed chan<- struct{}) {
	for {
		patience := time.Duration(-1)
		if w.changed == 0 {
			patience = again
		}
		if w.wait(patience) == ended || w.rest() == ended {
			return
		}
		select {
		case changed <- struct{}{}:
		default:
		}
	}
}

// rest arms again until it has been quiet for a while.
func (w *watch) rest() outcome {
	for end := time.Now().Add(restless); ; {
		if err := w.arm(); err != nil {
			return quiet
		}
		left := min(settle, time.Until(end))
		if left <= 0 {
			return quiet
		}
		if o := w.wait(left); o != moved {
			return o
		}
	}
}

// outcome of a wait.
type outcome int

const (
	ended outcome = iota
	moved         // something changed
	quiet         // nothing did
)

// wait sleeps until the end, a change, or patience is over; a negative patience never is.
func (w *watch) wait(patience time.Duration) outcome {
	events := []windows.Handle{w.stop}
	if w.changed != 0 {
		events = append(events, w.changed)
	}
	ms := uint32(windows.INFINITE)
	if patience >= 0 {
		ms = uint32(patience.Milliseconds())
	}
	o, err := windows.WaitForMultipleObjects(events, false, ms)
	switch {
	case err != nil:
		return w.blind()
	case o == windows.WAIT_OBJECT_0:
		return ended
	case o == windows.WAIT_OBJECT_0+1:
		return moved
	}
	return quiet
}

// blind stands for a wait that the system refused: everything may have changed meanwhile.
func (w *watch) blind() outcome {
	select {
	case <-w.stopped:
		return ended
	case <-time.After(again):
		return moved
	}
}
