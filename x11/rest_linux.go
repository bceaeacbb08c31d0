package x11

import (
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"stepaway/quiet"
)

// Rest makes the connection one that wakes nobody by what arrives while nobody waits: the events of a mouse that moves,
// while their reader sleeps. Call it before another goroutine knows the connection; after an error it is of no further use.
func (c *Conn) Rest() error {
	u, ok := c.c.(*net.UnixConn)
	if !ok {
		return nil
	}
	fd, err := take(u)
	if err != nil {
		return c.fail(fmt.Errorf("x11: taking the connection over: %w", err))
	}
	f, err := quiet.New(fd, u.RemoteAddr().String())
	if err != nil {
		return c.fail(fmt.Errorf("x11: taking the connection over: %w", err))
	}
	r := &resting{f: f, local: u.LocalAddr(), remote: u.RemoteAddr()}
	c.c, c.in.c = r, r
	return nil
}

// take gives a connection's descriptor to who calls, and closes the connection.
func take(u *net.UnixConn) (fd int, err error) {
	raw, err := u.SyscallConn()
	if err != nil {
		return -1, err
	}
	var failed error
	err = raw.Control(func(old uintptr) { fd, failed = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	if err == nil {
		err = failed
	}
	if err != nil {
		return -1, err
	}
	return fd, u.Close()
}

// resting is a connection that is read quietly.
type resting struct {
	f             *quiet.File
	local, remote net.Addr
	writeBy       time.Time
}

func (r *resting) Read(b []byte) (int, error) {
	for {
		if n, err := r.f.Arrived(b); n > 0 || err != nil {
			return n, err
		}
		if err := r.f.Wait(); err != nil {
			return 0, err
		}
	}
}

// writeAgain is how long a server that reads slowly is given before it is tried again.
const writeAgain = 5 * time.Millisecond

func (r *resting) Write(b []byte) (done int, err error) {
	for done < len(b) {
		var n int
		err := r.f.Use(func(fd int) (err error) {
			n, err = unix.Write(fd, b[done:])
			return err
		})
		switch {
		case err == unix.EAGAIN || err == unix.EINTR:
			if !r.writeBy.IsZero() && time.Now().After(r.writeBy) {
				return done, os.ErrDeadlineExceeded
			}
			time.Sleep(writeAgain)
		case err != nil:
			return done, err
		default:
			done += n
		}
	}
	return done, nil
}

func (r *resting) Close() error                       { return r.f.Close() }
func (r *resting) LocalAddr() net.Addr                { return r.local }
func (r *resting) RemoteAddr() net.Addr               { return r.remote }
func (r *resting) SetReadDeadline(t time.Time) error  { return r.f.SetDeadline(t) }
func (r *resting) SetWriteDeadline(t time.Time) error { r.writeBy = t; return nil }

func (r *resting) SetDeadline(t time.Time) error {
	r.writeBy = t
	return r.f.SetDeadline(t)
}

// SyscallConn lets the kernel be asked about the socket.
func (r *resting) SyscallConn() (syscall.RawConn, error) { return rawResting{r.f}, nil }

type rawResting struct{ f *quiet.File }

func (r rawResting) Control(do func(fd uintptr)) error {
	return r.f.Use(func(fd int) error { do(uintptr(fd)); return nil })
}

// Read and Write do not wait: do is called once, whatever it answers.
func (r rawResting) Read(do func(fd uintptr) bool) error {
	return r.Control(func(fd uintptr) { do(fd) })
}

func (r rawResting) Write(do func(fd uintptr) bool) error { return r.Read(do) }
