package clock

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/windows"
)

// https://learn.microsoft.com/windows/win32/api/synchapi/nf-synchapi-createwaitabletimerexw
// https://learn.microsoft.com/windows/win32/api/synchapi/nf-synchapi-setwaitabletimer
//sys	createWaitableTimerEx(attributes *windows.SecurityAttributes, name *uint16, flags uint32, access uint32) (timer windows.Handle, err error) = kernel32.CreateWaitableTimerExW
//sys	setWaitableTimer(timer windows.Handle, due *int64, period int32, completion uintptr, arg uintptr, resume bool) (err error) = kernel32.SetWaitableTimer
//sys	cancelWaitableTimer(timer windows.Handle) (err error) = kernel32.CancelWaitableTimer

const timerAllAccess = 0x1f0003

// A Timer ticks at a boot time. It waits in the kernel on two timers: one for a span of time, which stands still while
// the machine sleeps, and one for a wall time, which has come when the machine wakes. Whichever comes first, it looks at
// Now, and waits on when somebody has set the clock. It is safe for use by several goroutines.
type Timer struct {
	c    chan struct{}
	done chan struct{}

	mu     sync.Mutex
	at     time.Duration // 0: not set
	closed bool

	ending, span, wall windows.Handle // closed by wait
}

// NewTimer returns a Timer that is not set. Close it.
func NewTimer() (*Timer, error) {
	t := &Timer{c: make(chan struct{}, 1), done: make(chan struct{})}
	var err error
	if t.ending, err = windows.CreateEvent(nil, 1, 0, nil); err == nil {
		t.span, err = createWaitableTimerEx(nil, nil, 0, timerAllAccess)
	}
	if err == nil {
		t.wall, err = createWaitableTimerEx(nil, nil, 0, timerAllAccess)
	}
	if err != nil {
		t.free()
		return nil, fmt.Errorf("clock: making a timer on time since boot: %w", err)
	}
	go t.wait()
	return t, nil
}

// wait turns what the two timers say into ticks until the Timer is closed.
func (t *Timer) wait() {
	defer close(t.done)
	defer t.free()
	for {
		which, err := windows.WaitForMultipleObjects([]windows.Handle{t.ending, t.span, t.wall}, false, windows.INFINITE)
		switch {
		case err != nil:
			panic("clock: waiting for the time: " + err.Error())
		case which == windows.WAIT_OBJECT_0:
			return
		}
		t.look()
	}
}

// look ticks if the time has come, or if the kernel takes no timer any more: a tick is a hint.
func (t *Timer) look() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.at == 0 || Now() < t.at && t.arm() == nil {
		return
	}
	t.at = 0
	select {
	case t.c <- struct{}{}:
	default:
	}
}

// arm sets both timers for what is left until at.
func (t *Timer) arm() error {
	left := max(t.at-Now(), 0)
	span := -int64(max(left/unit, 1)) // negative is a span
	wall := windows.NsecToFiletime(time.Now().Add(left).UnixNano())
	due := int64(wall.HighDateTime)<<32 | int64(wall.LowDateTime)
	return errors.Join(setWaitableTimer(t.span, &span, 0, 0, 0, false), setWaitableTimer(t.wall, &due, 0, 0, 0, false))
}

// C ticks when the time that was set has come. Ticks do not pile up, and one of an earlier setting may still
// be waiting: look at Now.
func (t *Timer) C() <-chan struct{} { return t.c }

var errClosed = errors.New("clock: setting the timer: it is closed")

// Set makes the timer tick once at the boot time at, at once if that has passed, in place of what was set before.
func (t *Timer) Set(at time.Duration) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return errClosed
	}
	t.at = max(at, 1) // zero is not set
	if err := t.arm(); err != nil {
		return fmt.Errorf("clock: setting the timer: %w", err)
	}
	return nil
}

// Disarm takes back what was set.
func (t *Timer) Disarm() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return errClosed
	}
	t.at = 0
	if err := errors.Join(cancelWaitableTimer(t.span), cancelWaitableTimer(t.wall)); err != nil {
		return fmt.Errorf("clock: setting the timer: %w", err)
	}
	return nil
}

// Close ends the timer and its goroutine. C never ticks again, and stays open.
func (t *Timer) Close() error {
	t.mu.Lock()
	again := t.closed
	t.closed = true
	t.mu.Unlock()
	if !again {
		if err := windows.SetEvent(t.ending); err != nil {
			return fmt.Errorf("clock: ending the timer: %w", err)
		}
	}
	<-t.done
	return nil
}

func (t *Timer) free() {
	for _, h := range []windows.Handle{t.ending, t.span, t.wall} {
		if h != 0 {
			windows.CloseHandle(h)
		}
	}
}
