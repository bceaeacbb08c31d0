package probe

//go:generate go run golang.org/x/sys/windows/mkwinsyscall@v0.49.0 -output zsyscall_windows.go syscall_windows.go

// As documented in the pages of the same names, "winuser.h" and "sysinfoapi.h". A result of 0 is failure, whatever the last
// error says.

// lastInputInfo is LASTINPUTINFO.
type lastInputInfo struct {
	cbSize uint32
	dwTime uint32
}

//sys	getLastInputInfo(info *lastInputInfo) (ok bool) = user32.GetLastInputInfo
//sys	lockWorkStation() (err error) = user32.LockWorkStation
//sys	getTickCount64() (ms uint64) = kernel32.GetTickCount64
//sys	openClipboard(owner windows.HWND) (err error) = user32.OpenClipboard
//sys	emptyClipboard() (err error) = user32.EmptyClipboard
//sys	closeClipboard() (err error) = user32.CloseClipboard
//sys	postMessage(hwnd windows.HWND, msg uint32, wParam uintptr, lParam uintptr) (err error) = user32.PostMessageW
//sys	getWindow(hwnd windows.HWND, cmd uint32) (other windows.HWND) = user32.GetWindow
//sys	msgWaitForMultipleObjectsEx(n uint32, handles *windows.Handle, ms uint32, wake uint32, flags uint32) (event uint32, err error) [failretval==0xFFFFFFFF] = user32.MsgWaitForMultipleObjectsEx
//sys	openInputDesktop(flags uint32, inherit bool, access uint32) (desktop windows.Handle, err error) = user32.OpenInputDesktop
//sys	getThreadDesktop(thread uint32) (desktop windows.Handle, err error) = user32.GetThreadDesktop
//sys	closeDesktop(desktop windows.Handle) (err error) = user32.CloseDesktop
//sys	getUserObjectInformation(object windows.Handle, index int32, info unsafe.Pointer, size uint32, needed *uint32) (err error) = user32.GetUserObjectInformationW
