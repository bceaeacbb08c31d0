package link

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Listen makes the socket with the given mode, in a directory that only its owner may write. A socket left
// behind by a dead agent is replaced; one on which an agent still answers is an error.
func Listen(path string, mode os.FileMode, host Host, outbox *Outbox) (*Server, error) {
	if err := ownDirectory(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("make the link's directory: %w", err)
	}
	if err := makeWay(path); err != nil {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("make the link's socket: %w", err)
	}
	if err := os.Chmod(path, mode); err != nil {
		l.Close()
		return nil, fmt.Errorf("make the link's socket: %w", err)
	}
	return ServeOn(l, host, outbox), nil
}

// ownDirectory makes the directory, or checks that nobody but root and this user can put a socket there.
func ownDirectory(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return &os.PathError{Op: "stat", Path: dir, Err: err}
	}
	if st.Uid != 0 && st.Uid != uint32(os.Geteuid()) || st.Mode&0o022 != 0 {
		return fmt.Errorf("%s: others may write it (owner %d, mode %04o)", dir, st.Uid, st.Mode&0o7777)
	}
	return nil
}

// Answered reports whether an agent listens on the socket.
func Answered(path string) bool {
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
	}
	return err == nil
}

// makeWay removes a socket that nobody listens on any more. A busy agent is not mistaken for a dead one.
func makeWay(path string) error {
	c, err := net.DialTimeout("unix", path, time.Second)
	switch {
	case err == nil:
		c.Close()
		return fmt.Errorf("%w on %s; stop it first", ErrAnswered, path)
	case errors.Is(err, os.ErrNotExist):
		return nil
	case !errors.Is(err, unix.ECONNREFUSED):
		return fmt.Errorf("replace the link's socket, on which another agent may answer: %w", err)
	}
	if st, err := os.Lstat(path); err != nil || st.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("replace the link's socket: %s is something else", path)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("replace the link's socket: %w", err)
	}
	return nil
}

// peerOf asks the kernel who connected.
func peerOf(c net.Conn) (Peer, error) {
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return Peer{}, err
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err = errors.Join(err, credErr); err != nil {
		return Peer{}, err
	}
	return Peer{PID: cred.Pid, UID: cred.Uid, Root: cred.Uid == 0}, nil
}
