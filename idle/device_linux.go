package idle

import (
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// device is an open device file that wakes nobody but who waits for it. A file of package os is watched by the Go runtime
// for as long as it is open, so that each of a mouse's thousand reports a second would wake the process even while its
// reader rests. This one is watched by an epoll of its own, which tells of input once, and not again until asked to.
type device struct {
	bell *os.File // the epoll

	mu sync.Mutex // held while fd is used, so that no other file gets its number meanwhile
	fd int        // -1 once closed
}

func openDevice(path string) (*device, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	bell, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err == nil {
		err = unix.EpollCtl(bell, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLONESHOT})
	}
	if err == nil {
		err = unix.SetNonblock(bell, true) // so that the runtime waits for the epoll
	}
	if err != nil {
		unix.Close(fd)
		unix.Close(bell)
		return nil, fmt.Errorf("waiting for %s: %w", path, err)
	}
	return &device{bell: os.NewFile(uintptr(bell), path), fd: fd}, nil
}

// Close ends a wait. It may be called again.
func (d *device) Close() {
	d.bell.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fd >= 0 {
		unix.Close(d.fd)
		d.fd = -1
	}
}

// use calls f with the descriptor, unless the device is closed.
func (d *device) use(f func(fd int) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fd < 0 {
		return os.ErrClosed
	}
	return f(d.fd)
}

// wait returns when there is input, the device is gone, or it was closed, which is an error.
func (d *device) wait() error {
	raw, err := d.bell.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(bell uintptr) {
		failed = d.use(func(fd int) error {
			return unix.EpollCtl(int(bell), unix.EPOLL_CTL_MOD, fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT})
		})
	})
	if err != nil || failed != nil {
		return orError(err, failed)
	}
	err = raw.Read(func(bell uintptr) bool {
		var one [1]unix.EpollEvent
		n, err := unix.EpollWait(int(bell), one[:], 0)
		failed = err
		return n > 0 || err != nil && err != unix.EINTR
	})
	return orError(err, failed)
}

func orError(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// arrived reads what the kernel holds, without waiting; nothing is no error.
func (d *device) arrived(b []byte) (got int, err error) {
	err = d.use(func(fd int) (err error) {
		got, err = unix.Read(fd, b)
		return err
	})
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return 0, nil
	case err != nil:
		return 0, err
	case got == 0:
		return 0, io.EOF
	}
	return got, nil
}
