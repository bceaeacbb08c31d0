package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"stepaway/cmdline"
	"stepaway/packaging"
)

// endPrograms ends what still runs of this installation in any session, but itself: trays, and probes that outlive their service
// by a moment. So no program is in use when the package replaces or removes it. A program is one by its path, and ended by its handle.
func endPrograms(_ context.Context, args []string) error {
	f := flags(packaging.EndVerb, "Ends what still runs of this installation, in every session. The package does this when it replaces or removes the programs.")
	if _, err := cmdline.Parse(f, args); err != nil {
		return err
	}
	dir, err := beside("")
	if err != nil {
		return err
	}
	list, err := processes()
	for _, pid := range list {
		if pid != windows.GetCurrentProcessId() {
			err = errors.Join(err, endIf(pid, dir))
		}
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

// endIf ends a process if it runs a program in dir. One that cannot be looked at is another's.
func endIf(pid uint32, dir string) error {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION|windows.PROCESS_TERMINATE|windows.SYNCHRONIZE, false, pid)
	if err != nil {
		return nil
	}
	defer windows.CloseHandle(h)
	buf := make([]uint16, windows.MAX_LONG_PATH)
	n := uint32(len(buf))
	if err := windows.QueryFullProcessImageName(h, 0, &buf[0], &n); err != nil {
		return nil
	}
	if path := windows.UTF16ToString(buf[:n]); !strings.EqualFold(filepath.Dir(path), dir) {
		return nil
	}
	if err := windows.TerminateProcess(h, 0); err != nil {
		return fmt.Errorf("end the program %d: %w", pid, err)
	}
	_, err = windows.WaitForSingleObject(h, uint32(endsWithin.Milliseconds()))
	return err
}
