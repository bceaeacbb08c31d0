package idle

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// dialAs connects to a socket below a user's own directories as that user. With root's rights he could lead us, by a link
// in the socket's place, to one that he may not use himself; and a session bus lets in nobody but its user.
func dialAs(ctx context.Context, uid uint32, path string) (c net.Conn, err error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	dial := func() {
		var d net.Dialer
		if c, err = d.DialContext(ctx, "unix", path); err == nil {
			c.SetDeadline(time.Time{})
		}
	}
	if uint32(unix.Geteuid()) == uid {
		dial()
		return c, err
	}
	onThread(func() {
		if err = becomeUser(uid); err == nil {
			dial()
		}
	})
	return c, err
}

// onThread runs do on a thread of its own, which ends with it: what do changes of the thread nobody else meets. The main
// thread cannot end, so it is not taken.
func onThread(do func()) {
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread() // and never unlocked
		if unix.Gettid() != unix.Getpid() {
			defer close(done)
			do()
			return
		}
		go func() {
			defer close(done)
			runtime.LockOSThread()
			do()
		}()
		<-done
		runtime.UnlockOSThread()
	}()
	<-done
}

// nobody is a group that has no rights.
const nobody = 65534

// becomeUser changes the effective ids of this thread alone: package syscall would change them for all.
func becomeUser(uid uint32) error {
	const keep = ^uintptr(0)
	if _, _, e := unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0); e != 0 {
		return fmt.Errorf("idle: giving up root's groups: %w", e)
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESGID, keep, nobody, keep); e != 0 {
		return fmt.Errorf("idle: giving up root's group: %w", e)
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, keep, uintptr(uid), keep); e != 0 {
		return fmt.Errorf("idle: acting as user %d: %w", uid, e)
	}
	return nil
}
