package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Pinned holds one process: a signal through it reaches that process or nobody. Close it.
type Pinned struct {
	Process          // as it was when it was pinned
	file    *os.File // pidfd
}

// Pin takes hold of a process.
func Pin(pid int) (*Pinned, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("pin process %d: %w", pid, gone(err))
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("pin process %d: %w", pid, err)
	}
	p := &Pinned{file: os.NewFile(uintptr(fd), "pidfd")}
	// The pid could have been reused between the look before and the pin, but not between pin and this read: if the
	// process pinned is still there after the read, then it is the one that was read.
	p.Process, err = Read(pid)
	if err == nil && p.Ended() {
		err = ErrGone
	}
	if err != nil {
		p.Close()
		return nil, fmt.Errorf("pin process %d: %w", pid, err)
	}
	return p, nil
}

// Close lets go of the process.
func (p *Pinned) Close() { _ = p.file.Close() }

// Signal sends a signal; ErrGone if the process has ended.
func (p *Pinned) Signal(sig syscall.Signal) error {
	conn, err := p.file.SyscallConn()
	if err != nil {
		return fmt.Errorf("signal process %d: %w", p.PID, err)
	}
	err2 := conn.Control(func(fd uintptr) { err = unix.PidfdSendSignal(int(fd), sig, nil, 0) })
	if err = errors.Join(err, err2); err != nil {
		return fmt.Errorf("signal process %d: %w", p.PID, gone(err))
	}
	return nil
}

// Ended reports whether the process has ended.
func (p *Pinned) Ended() bool {
	conn, err := p.file.SyscallConn()
	if err != nil {
		return true
	}
	var ended bool
	err = conn.Control(func(fd uintptr) { ended = readable(fd) })
	return ended || err != nil
}

// Wait returns nil when the process has ended, or the error of the context. It holds no thread meanwhile.
func (p *Pinned) Wait(ctx context.Context) error {
	conn, err := p.file.SyscallConn()
	if err != nil {
		return fmt.Errorf("wait for process %d: %w", p.PID, err)
	}
	if err := p.file.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("wait for process %d: %w", p.PID, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = p.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if err = conn.Read(readable); err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("wait for process %d: %w", p.PID, err)
}

// Exit tells how an ended process ended, once its parent has taken note: a wait status. Kernels before 6.15 do not
// tell; ok is false then.
func (p *Pinned) Exit() (status syscall.WaitStatus, ok bool) {
	conn, err := p.file.SyscallConn()
	if err != nil {
		return 0, false
	}
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
	err2 := conn.Control(func(fd uintptr) { err = unix.IoctlPidfdInfo(int(fd), &info) })
	if err != nil || err2 != nil || info.Mask&unix.PIDFD_INFO_EXIT == 0 {
		return 0, false
	}
	return syscall.WaitStatus(uint32(info.Exit_code)), true
}

// Failed reports whether the process is known to have ended by a signal or with an error, while its parent has not taken
// note. That it ended well is never known before: the file says so as well where we may not know.
func (p *Pinned) Failed() bool {
	left, err := Read(p.PID)
	return err == nil && left.Start == p.Start && left.State == 'Z' && left.failed
}

// readable reports whether a pidfd tells that its process has ended.
func readable(fd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n == 1
}

func gone(err error) error {
	if errors.Is(err, unix.ESRCH) {
		return ErrGone
	}
	return err
}
