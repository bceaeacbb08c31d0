package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"stepaway/cmdline"
	"stepaway/packaging"
)

// endTrays ends the trays of this installation in every session, so that no program of it is in use when the package
// replaces or removes it. A tray is one by its path, and ended by its handle.
func endTrays(_ context.Context, args []string) error {
	f := flags(packaging.EndTraysVerb, "Ends the trays of this installation in every session. The package does this when it replaces or removes them.")
	if _, err := cmdline.Parse(f, args); err != nil {
		return err
	}
	tray, err := beside("stepaway-tray.exe")
	if err != nil {
		return err
	}
	list, err := processes()
	for _, pid := range list {
		err = errors.Join(err, endIf(pid, tray))
	}
	return err
}

// processes are the ids of all that run.
func processes() (out []uint32, err error) {
	snap, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPPROCESS, 0)
	if err != nil {
		return nil, fmt.Errorf("list the processes: %w", err)
	}
	defer windows.CloseHandle(snap)
	e := windows.ProcessEntry32{Size: uint32(unsafe.Sizeof(windows.ProcessEntry32{}))}
	for err = windows.Process32First(snap, &e); err == nil; err = windows.Process32Next(snap, &e) {
		out = append(out, e.ProcessID)
	}
	if !errors.Is(err, windows.ERROR_NO_MORE_FILES) {
		return out, fmt.Errorf("list the processes: %w", err)
	}
	return out, nil
}

// endsWithin is how long a process that was ended may take.
const endsWithin = 5 * time.Second

// endIf ends a process if it runs the program. One that cannot be looked at is another's.
func endIf(pid uint32, program string) error {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION|windows.PROCESS_TERMINATE|windows.SYNCHRONIZE, false, pid)
	if err != nil {
		return nil
	}
	defer windows.CloseHandle(h)
	buf := make([]uint16, windows.MAX_LONG_PATH)
	n := uint32(len(buf))
	if err := windows.QueryFullProcessImageName(h, 0, &buf[0], &n); err != nil || !strings.EqualFold(windows.UTF16ToString(buf[:n]), program) {
		return nil
	}
	if err := windows.TerminateProcess(h, 0); err != nil {
		return fmt.Errorf("end the tray %d: %w", pid, err)
	}
	_, err = windows.WaitForSingleObject(h, uint32(endsWithin.Milliseconds()))
	return err
}
