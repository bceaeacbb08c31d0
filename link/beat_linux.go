package link

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

var beatFrame = sync.OnceValues(func() ([]byte, error) {
	var b bytes.Buffer
	err := Write(&b, Message{Beat: &Beat{}})
	return b.Bytes(), err
})

// KeepBeating sends a Beat now and every BeatEvery until ctx ends or the enforcer does not take one. Beating is nearly
// all that an idle tray does, so it is done by a timer of the kernel and by system calls that the Go scheduler is not
// told of: being told, and every timer of Go's own, wakes another thread a dozen times.
func (c *Client) KeepBeating(ctx context.Context) error {
	fd, err := unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("make the timer of the beat: %w", err)
	}
	timer := os.NewFile(uintptr(fd), "beat")
	defer timer.Close()
	defer context.AfterFunc(ctx, func() { timer.Close() })()
	every := unix.NsecToTimespec(BeatEvery.Nanoseconds())
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Interval: every, Value: every}, nil); err != nil {
		return fmt.Errorf("set the timer of the beat: %w", err)
	}
	raw, err := timer.SyscallConn()
	if err != nil {
		return fmt.Errorf("wait for the next beat: %w", err)
	}
	for {
		if err := c.beat(); err != nil {
			return err
		}
		if err := raw.Read(ticked); err != nil {
			return fmt.Errorf("wait for the next beat: %w", err)
		}
	}
}

// ticked takes the ticks of a timer, if there are any.
func ticked(fd uintptr) bool {
	var ticks [8]byte
	_, _, code := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(&ticks[0])), uintptr(len(ticks)))
	return code != syscall.EAGAIN
}

// beat sends a Beat, or fails at once where the enforcer has not read the last ones.
func (c *Client) beat() error {
	frame, err := beatFrame()
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	raw, err := c.conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return fmt.Errorf("tell the enforcer of life: %w", err)
	}
	var n uintptr
	var code syscall.Errno
	err = raw.Control(func(fd uintptr) {
		n, _, code = syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(&frame[0])), uintptr(len(frame)),
			syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, 0, 0)
	})
	switch {
	case err != nil:
		return fmt.Errorf("tell the enforcer of life: %w", err)
	case code != 0:
		return fmt.Errorf("tell the enforcer of life: %w", code)
	case int(n) != len(frame):
		return fmt.Errorf("tell the enforcer of life: %d of %d bytes were taken", n, len(frame))
	}
	return nil
}
