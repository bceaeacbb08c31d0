package lock

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/windows"
)

// process is one that is held by a handle: while it is, no other gets its pid.
type process struct {
	handle windows.Handle
	pid    uint32
}

type held = *process

// hold takes hold of a process. LocalSystem's SE_DEBUG_NAME opens also one that its user has closed to others.
func hold(pid uint32) (*process, error) {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION|windows.PROCESS_TERMINATE|windows.SYNCHRONIZE, false, pid)
	if err != nil {
		return nil, fmt.Errorf("open process %d: %w", pid, err)
	}
	return &process{h, pid}, nil
}

// Close lets the process go.
func (p *process) Close() { _ = windows.CloseHandle(p.handle) }

// Ended reports whether the process has ended.
func (p *process) Ended() bool {
	got, err := windows.WaitForSingleObject(p.handle, 0)
	return err == nil && got == windows.WAIT_OBJECT_0
}

const waitTick = 20 * time.Millisecond

// Wait waits until the process has ended or ctx has.
func (p *process) Wait(ctx context.Context) error {
	for !p.Ended() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(waitTick):
		}
	}
	return nil
}

// session is the session that the process runs in.
func (p *process) session() (id uint32, ok bool) {
	return id, windows.ProcessIdToSessionId(p.pid, &id) == nil
}

// isUsers reports whether the process runs as a user.
func (p *process) isUsers(sid string) bool {
	var token windows.Token
	if err := windows.OpenProcessToken(p.handle, windows.TOKEN_QUERY, &token); err != nil {
		return false
	}
	defer token.Close()
	user, err := token.GetTokenUser()
	return err == nil && user.User.Sid.String() == sid
}

// image is the path of the process's executable: with native as the kernel has it, \Device\HarddiskVolume3\..., else by
// its drive.
func (p *process) image(native uint32) (string, error) {
	b := make([]uint16, windows.MAX_LONG_PATH)
	n := uint32(len(b))
	if err := windows.QueryFullProcessImageName(p.handle, native, &b[0], &n); err != nil {
		return "", fmt.Errorf("ask for the executable of process %d: %w", p.pid, err)
	}
	return windows.UTF16ToString(b[:n]), nil
}
