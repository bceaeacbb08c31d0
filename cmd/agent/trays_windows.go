package main

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/windows"

	"stepaway/link"
	"stepaway/session"
)

// endStuck ends a tray that was lost but lives, such as a stopped one: it would keep another from starting.
func (t *trays) endStuck(pid int32, s session.Session) {
	h, err := windows.OpenProcess(windows.PROCESS_TERMINATE|windows.PROCESS_QUERY_LIMITED_INFORMATION, false, uint32(pid))
	if err != nil {
		return
	}
	defer windows.CloseHandle(h)
	var in uint32
	if windows.ProcessIdToSessionId(uint32(pid), &in) == nil && strconv.FormatUint(uint64(in), 10) == s.ID && t.isTray(h) {
		_ = windows.TerminateProcess(h, 1) // gone already is as good
	}
}

// Running reports whether the peer's process still lives. One that was stopped falls silent, and is missed for that.
func (t *trays) Running(p link.Peer) bool {
	h, err := windows.OpenProcess(windows.SYNCHRONIZE, false, uint32(p.PID))
	if err != nil {
		return false
	}
	defer windows.CloseHandle(h)
	event, err := windows.WaitForSingleObject(h, 0)
	return err == nil && event == uint32(windows.WAIT_TIMEOUT)
}

// Genuine reports whether the peer runs the tray's own program. It does not tell whether its user has his hands in
// it: nothing that a tray says is believed anyway.
func (t *trays) Genuine(p link.Peer) bool {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, uint32(p.PID))
	if err != nil {
		return false
	}
	defer windows.CloseHandle(h)
	return t.isTray(h)
}

// isTray compares files, not names: a path has many.
func (t *trays) isTray(process windows.Handle) bool {
	path, err := image(process)
	if err != nil {
		return false
	}
	is, err := os.Stat(path)
	if err != nil {
		return false
	}
	own, err := os.Stat(t.path)
	return err == nil && os.SameFile(is, own)
}

// image is the path of the program that a process runs.
func image(process windows.Handle) (string, error) {
	buf := make([]uint16, windows.MAX_LONG_PATH)
	n := uint32(len(buf))
	if err := windows.QueryFullProcessImageName(process, 0, &buf[0], &n); err != nil {
		return "", fmt.Errorf("ask for a process's program: %w", err)
	}
	return windows.UTF16ToString(buf[:n]), nil
}
