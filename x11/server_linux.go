package x11

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// listener asks the kernel who listens at the other end.
func listener(c net.Conn) (pid int, uid uint32, err error) {
	raw, err := rawConn(c)
	if err != nil {
		return 0, 0, fmt.Errorf("x11: asking whose the server is: %w", err)
	}
	var cred *unix.Ucred
	var got error
	if err := raw.Control(func(fd uintptr) { cred, got = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return 0, 0, fmt.Errorf("x11: asking whose the server is: %w", err)
	}
	if got != nil {
		return 0, 0, fmt.Errorf("x11: asking whose the server is: %w", got)
	}
	return int(cred.Pid), cred.Uid, nil
}

func rawConn(c net.Conn) (syscall.RawConn, error) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil, errors.New("the connection is no socket")
	}
	return sc.SyscallConn()
}

// readArrived reads what the kernel holds for us, and does not wait for more.
func readArrived(c net.Conn, b []byte) (n int, err error) {
	raw, err := rawConn(c)
	if err != nil {
		return 0, err
	}
	var got error
	err = raw.Read(func(fd uintptr) bool {
		n, got = unix.Read(int(fd), b)
		return true
	})
	switch {
	case err != nil:
		return 0, err
	case got == unix.EAGAIN || got == unix.EINTR:
		return 0, errNothingYet
	case got != nil:
		return 0, got
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}
