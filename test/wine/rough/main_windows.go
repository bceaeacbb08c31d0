// Command rough does to a Windows what users do: it signs out, and stops processes.
package main

import (
	"fmt"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
)

func main() {
	var err error
	switch {
	case len(os.Args) == 2 && os.Args[1] == "signout":
		err = windows.ExitWindowsEx(windows.EWX_LOGOFF, windows.SHTDN_REASON_MAJOR_OTHER)
	case len(os.Args) == 3 && os.Args[1] == "suspend":
		err = suspend(os.Args[2])
	default:
		err = fmt.Errorf("say signout, or suspend PROGRAM")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// suspend stops every process of a program.
func suspend(program string) error {
	list, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPPROCESS, 0)
	if err != nil {
		return err
	}
	defer windows.CloseHandle(list)
	found := 0
	p := windows.ProcessEntry32{Size: uint32(unsafe.Sizeof(windows.ProcessEntry32{}))}
	for err = windows.Process32First(list, &p); err == nil; err = windows.Process32Next(list, &p) {
		if !strings.EqualFold(windows.UTF16ToString(p.ExeFile[:]), program) {
			continue
		}
		h, err := windows.OpenProcess(windows.PROCESS_SUSPEND_RESUME, false, p.ProcessID)
		if err != nil {
			return err
		}
		status, _, _ := windows.NewLazySystemDLL("ntdll.dll").NewProc("NtSuspendProcess").Call(uintptr(h))
		windows.CloseHandle(h)
		if status != 0 {
			return fmt.Errorf("NtSuspendProcess: %#x", status)
		}
		found++
	}
	if found == 0 {
		return fmt.Errorf("no process of %s", program)
	}
	return nil
}
