package notify

import "github.com/lxn/win"

// What lxn/win does not declare, by the names and pages of Microsoft's documentation:
//   - learn.microsoft.com/windows/win32/api/shellscalingapi/nf-shellscalingapi-getdpiformonitor
//   - learn.microsoft.com/windows/win32/api/shellscalingapi/nf-shellscalingapi-setprocessdpiawareness
//   - learn.microsoft.com/windows/win32/api/winuser/nf-winuser-enumdisplaymonitors
//   - learn.microsoft.com/windows/win32/api/winuser/nf-winuser-setlayeredwindowattributes
//   - learn.microsoft.com/windows/win32/api/winuser/nf-winuser-setprocessdpiawarenesscontext
//
//go:generate go run golang.org/x/sys/windows/mkwinsyscall@v0.49.0 -output zsyscall_windows.go syscall_windows.go

//sys	getDpiForMonitor(monitor hMonitor, kind int32, x *uint32, y *uint32) (hresult int32) = shcore.GetDpiForMonitor
//sys	enumDisplayMonitors(dc hDC, clip *rect, callback uintptr, data uintptr) (err error) = user32.EnumDisplayMonitors
//sys	setLayeredWindowAttributes(window hWnd, key uint32, alpha byte, flags uint32) (err error) = user32.SetLayeredWindowAttributes
//sys	setProcessDpiAwareness(awareness int32) (hresult int32) = shcore.SetProcessDpiAwareness
//sys	setProcessDpiAwarenessContext(context uintptr) (err error) = user32.SetProcessDpiAwarenessContext?

type (
	hWnd     = win.HWND
	hDC      = win.HDC
	hMonitor = win.HMONITOR
	rect     = win.RECT
)

const (
	mdtEffectiveDPI = 0 // MDT_EFFECTIVE_DPI
	lwaAlpha        = 2 // LWA_ALPHA
	maNoActivate    = 3 // MA_NOACTIVATE
	waInactive      = 0 // WA_INACTIVE

	perMonitorAware   = 2           // PROCESS_PER_MONITOR_DPI_AWARE
	perMonitorAwareV2 = ^uintptr(3) // DPI_AWARENESS_CONTEXT_PER_MONITOR_AWARE_V2, (HANDLE)-4
)
