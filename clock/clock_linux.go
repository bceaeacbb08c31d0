package clock

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Now returns the time since boot, time asleep included.
func Now() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("clock: reading CLOCK_BOOTTIME: " + err.Error())
	}
	return time.Duration(ts.Nano())
}

// Asleep returns how much of the time since boot the machine slept.
func Asleep() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("clock: reading CLOCK_MONOTONIC: " + err.Error())
	}
	return Now() - time.Duration(ts.Nano())
}

// BootID returns the kernel's random name for this boot, a UUID in lower case.
func BootID() (string, error) {
	f, err := os.Open("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("clock: reading the boot id: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 64))
	if err != nil {
		return "", fmt.Errorf("clock: reading the boot id: %w", err)
	}
	b = bytes.TrimSpace(b)
	if len(b) != 36 {
		return "", fmt.Errorf("clock: the boot id has %d characters, not 36", len(b))
	}
	return string(b), nil
}

// Synced reports whether the kernel says that something keeps the wall clock in step. Unknown is false.
func Synced() bool {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	return err == nil && state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0
}

// A Timer ticks at a boot time. It waits in the kernel on a timerfd, so it also fires for a time that passed
// during sleep. It is safe for use by several goroutines.
type Timer struct {
	f    *os.File
	c    chan struct{}
	done chan struct{}
}

// NewTimer returns a Timer that is not set. Close it.
func NewTimer() (*Timer, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("clock: making a timer on time since boot: %w", err)
	}
	t := &Timer{f: os.NewFile(uintptr(fd), "timerfd"), c: make(chan struct{}, 1), done: make(chan struct{})}
	go t.wait()
	return t, nil
}

// wait turns expirations into ticks until the descriptor is closed.
func (t *Timer) wait() {
	defer close(t.done)
	var count [8]byte
	for {
		if _, err := t.f.Read(count[:]); err != nil {
			return
		}
		select {
		case t.c <- struct{}{}:
		default:
		}
	}
}

// C ticks when the time that was set has come. Ticks do not pile up, and one of an earlier setting may still
// be waiting: look at Now.
func (t *Timer) C() <-chan struct{} { return t.c }

// Set makes the timer tick once at the boot time at, at once if that has passed, in place of what was set before.
func (t *Timer) Set(at time.Duration) error {
	return t.settime(max(at, 1)) // zero would disarm
}

// Disarm takes back what was set.
func (t *Timer) Disarm() error { return t.settime(0) }

func (t *Timer) settime(at time.Duration) error {
	raw, err := t.f.SyscallConn()
	if err != nil {
		return fmt.Errorf("clock: setting the timer: %w", err)
	}
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(at))}
	var set error
	if err := raw.Control(func(fd uintptr) { set = unix.TimerfdSettime(int(fd), unix.TFD_TIMER_ABSTIME, &spec, nil) }); err != nil {
		return fmt.Errorf("clock: setting the timer: %w", err)
	}
	if set != nil {
		return fmt.Errorf("clock: setting the timer: %w", set)
	}
	return nil
}

// Close ends the timer and its goroutine. C never ticks again, and stays open.
func (t *Timer) Close() error {
	err := t.f.Close()
	<-t.done
	return err
}
