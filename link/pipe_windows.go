package link

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
	"unsafe"

	"github.com/Microsoft/go-winio"
	"golang.org/x/sys/windows"
)

// pipeBuffer lets every frame be taken whole, so that what was said last is there after the sayer has left.
const pipeBuffer = 4 + MaxFrame

// pipeListener accepts peers on a pipe. One instance of the pipe always waits for the next peer, so that the name is never
// free for somebody else, and nobody who connects has to try again.
type pipeListener struct {
	name     string
	security windows.SecurityAttributes
	closing  windows.Handle // event, set once
	came     windows.Handle // event: the waiting instance has a peer, or failed
	closed   sync.Once

	mu      sync.Mutex         // one Accept at a time
	waiting windows.Handle     // instance of the pipe; 0 after the end
	pending windows.Overlapped // of the waiting instance
}

// listenPipe makes the first instance of a pipe. Where there is one of that name it fails.
func listenPipe(name, access string) (net.Listener, error) {
	sd, err := windows.SecurityDescriptorFromString(access)
	if err != nil {
		return nil, fmt.Errorf("access %q: %w", access, err)
	}
	l := &pipeListener{name: name, security: windows.SecurityAttributes{SecurityDescriptor: sd}}
	l.security.Length = uint32(unsafe.Sizeof(l.security))
	if l.waiting, err = l.instance(windows.FILE_FLAG_FIRST_PIPE_INSTANCE); err != nil {
		return nil, err
	}
	if l.closing, err = windows.CreateEvent(nil, 1, 0, nil); err == nil {
		l.came, err = windows.CreateEvent(nil, 1, 0, nil)
	}
	if err != nil {
		l.free()
		return nil, err
	}
	return l, nil
}

// instance makes one end for one peer, of this machine only.
func (l *pipeListener) instance(first uint32) (windows.Handle, error) {
	name, err := windows.UTF16PtrFromString(l.name)
	if err != nil {
		return 0, err
	}
	h, err := windows.CreateNamedPipe(name, windows.PIPE_ACCESS_DUPLEX|windows.FILE_FLAG_OVERLAPPED|first,
		windows.PIPE_TYPE_BYTE|windows.PIPE_REJECT_REMOTE_CLIENTS, windows.PIPE_UNLIMITED_INSTANCES, pipeBuffer, pipeBuffer, 0, &l.security)
	if err != nil {
		return 0, &net.OpError{Op: "listen", Net: "pipe", Addr: l.Addr(), Err: err}
	}
	return h, nil
}

// Accept waits for the next peer. Without a next instance it keeps the one it has, and is without that peer.
func (l *pipeListener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting == 0 {
		return nil, net.ErrClosed
	}
	if err := l.await(); err != nil {
		return nil, err
	}
	h := l.waiting
	next, err := l.instance(0)
	if err != nil {
		return nil, errors.Join(err, windows.DisconnectNamedPipe(h))
	}
	l.waiting = next
	f, err := winio.NewOpenFile(h)
	if err != nil {
		windows.CloseHandle(h)
		return nil, fmt.Errorf("accept a peer: %w", err)
	}
	return pipeConn{f.(pipeFile), l.Addr()}, nil
}

// await waits until the waiting instance has a peer. One that came and left at once is not told of.
func (l *pipeListener) await() error {
	for {
		l.pending = windows.Overlapped{HEvent: l.came}
		err := windows.ConnectNamedPipe(l.waiting, &l.pending)
		if errors.Is(err, windows.ERROR_IO_PENDING) {
			err = l.outcome()
		}
		switch {
		case err == nil, errors.Is(err, windows.ERROR_PIPE_CONNECTED):
			return nil
		case !errors.Is(err, windows.ERROR_NO_DATA):
			return err
		}
		if err := windows.DisconnectNamedPipe(l.waiting); err != nil {
			return fmt.Errorf("let a peer go: %w", err)
		}
	}
}

// outcome is what came of the pending connection.
func (l *pipeListener) outcome() error {
	which, err := windows.WaitForMultipleObjects([]windows.Handle{l.closing, l.came}, false, windows.INFINITE)
	ended := err != nil || which == windows.WAIT_OBJECT_0
	if ended {
		_ = windows.CancelIoEx(l.waiting, &l.pending) // fails where a peer came at this moment
	}
	var n uint32
	result := windows.GetOverlappedResult(l.waiting, &l.pending, &n, true)
	switch {
	case err != nil:
		return fmt.Errorf("wait for a peer: %w", err)
	case ended:
		return net.ErrClosed
	}
	return result
}

// Close ends an Accept that waits, and gives the name back.
func (l *pipeListener) Close() error {
	l.closed.Do(func() {
		_ = windows.SetEvent(l.closing) // fails for no event that is open
		l.mu.Lock()
		defer l.mu.Unlock()
		l.free()
	})
	return nil
}

func (l *pipeListener) free() {
	for _, h := range []*windows.Handle{&l.waiting, &l.closing, &l.came} {
		if *h != 0 {
			windows.CloseHandle(*h)
		}
		*h = 0
	}
}

// Addr is the pipe's name.
func (l *pipeListener) Addr() net.Addr { return pipeAddr(l.name) }

type pipeAddr string

func (pipeAddr) Network() string  { return "pipe" }
func (a pipeAddr) String() string { return string(a) }

// pipeFile is what an open pipe can do.
type pipeFile interface {
	io.ReadWriteCloser
	Fd() uintptr
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// pipeConn is the server's end of a connection.
type pipeConn struct {
	pipeFile
	addr net.Addr
}

func (c pipeConn) LocalAddr() net.Addr  { return c.addr }
func (c pipeConn) RemoteAddr() net.Addr { return c.addr }
func (c pipeConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}
