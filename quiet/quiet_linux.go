package quiet

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// File is an open device or socket. A file of package os, or a connection of package net, is watched by the Go runtime for as
// long as it is open, so that each of a mouse's thousand reports a second would wake the process even while its reader
// rests. This one is watched by an epoll of its own, which tells of input once, and not again until asked to. One goroutine
// uses it at a time; Close may be called from any.
type File struct {
	bell *os.File // the epoll

	mu sync.Mutex // held while fd is used, so that no other file gets its number meanwhile
	fd int        // -1 once closed
}

// Open opens a device for reading, without following a link.
func Open(path string) (*File, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return New(fd, path)
}

// New takes a descriptor over. It is closed also when that fails.
func New(fd int, name string) (*File, error) {
	bell, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err == nil {
		err = unix.EpollCtl(bell, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLONESHOT})
		if err == nil {
			err = unix.SetNonblock(fd, true)
		}
		if err == nil {
			err = unix.SetNonblock(bell, true) // so that the runtime waits for the epoll
		}
		if err != nil {
			unix.Close(bell)
		}
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("waiting for %s: %w", name, err)
	}
	return &File{bell: os.NewFile(uintptr(bell), name), fd: fd}, nil
}

// Close ends a wait. It may be called again.
func (f *File) Close() error {
	err := f.bell.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fd >= 0 {
		err = unix.Close(f.fd)
		f.fd = -1
	}
	return err
}

// SetDeadline makes waits end with os.ErrDeadlineExceeded; the zero time is none.
func (f *File) SetDeadline(t time.Time) error { return f.bell.SetReadDeadline(t) }

// Use calls do with the descriptor, unless the file is closed. Close waits for it.
func (f *File) Use(do func(fd int) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fd < 0 {
		return os.ErrClosed
	}
	return do(f.fd)
}

// Wait returns when there is input or the device is gone. A deadline and Close are errors.
func (f *File) Wait() error {
	raw, err := f.bell.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(bell uintptr) {
		failed = f.Use(func(fd int) error {
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

// Arrived reads what the kernel holds, without waiting; nothing is no error, the end is io.EOF.
func (f *File) Arrived(b []byte) (got int, err error) {
	err = f.Use(func(fd int) (err error) {
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
