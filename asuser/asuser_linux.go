package asuser

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// NoGroup is the group of those who have none. Nothing belongs to it.
const NoGroup = 65534

// Do runs do on a thread of its own that has the effective ids of a user and of one group, no other group and no capability,
// and waits for it. Who already is that user keeps his groups.
func Do(uid, gid uint32, do func()) error {
	if uint32(os.Geteuid()) == uid {
		do()
		return nil
	}
	done := make(chan error, 1)
	go thread(done, func() error { return become(uid, gid, do) })
	return <-done
}

// thread runs do on a thread that ends with it, so not on the main one, which would stay, and be shown as the user's.
func thread(done chan<- error, do func() error) {
	runtime.LockOSThread() // and left so, for the thread to be thrown away
	if unix.Gettid() != unix.Getpid() {
		done <- do()
		return
	}
	defer runtime.UnlockOSThread()
	other := make(chan error, 1)
	go thread(other, do) // while this holds the main thread
	done <- <-other
}

// become changes this thread alone: package syscall would change all of them. With a user's ids the kernel takes the
// capabilities away.
func become(uid, gid uint32, do func()) error {
	const keep = ^uintptr(0)
	if _, _, e := unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0); e != 0 {
		return fmt.Errorf("give up groups: %w", e)
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESGID, keep, uintptr(gid), keep); e != 0 {
		return fmt.Errorf("act as gid %d: %w", gid, e)
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, keep, uintptr(uid), keep); e != 0 {
		return fmt.Errorf("act as uid %d: %w", uid, e)
	}
	do()
	return nil
}
