package wts

//go:generate go run golang.org/x/sys/windows/mkwinsyscall@v0.49.0 -output zsyscall_windows.go syscall_windows.go

// As documented in the pages of the same names, "wtsapi32.h" and "powerbase.h".

// deviceNotifySubscribeParameters is DEVICE_NOTIFY_SUBSCRIBE_PARAMETERS.
type deviceNotifySubscribeParameters struct {
	callback uintptr
	context  uintptr
}

//sys	wtsQuerySessionInformation(server windows.Handle, session uint32, class uint32, buf **byte, n *uint32) (err error) = wtsapi32.WTSQuerySessionInformationW
//sys	wtsRegisterSessionNotification(hwnd windows.HWND, flags uint32) (err error) = wtsapi32.WTSRegisterSessionNotification
//sys	powerRegisterSuspendResumeNotification(flags uint32, recipient *deviceNotifySubscribeParameters, handle *windows.Handle) (ret error) = powrprof.PowerRegisterSuspendResumeNotification?
//sys	powerUnregisterSuspendResumeNotification(handle windows.Handle) (ret error) = powrprof.PowerUnregisterSuspendResumeNotification?
