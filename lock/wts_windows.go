package lock

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
)

//go:generate go run golang.org/x/sys/windows/mkwinsyscall@v0.49.0 -output zsyscall_windows.go wts_windows.go publisher_windows.go

// https://learn.microsoft.com/en-us/windows/win32/api/wtsapi32/nf-wtsapi32-wtsquerysessioninformationw
//sys	wtsQuerySessionInformation(server windows.Handle, session uint32, class uint32, buffer **byte, bytes *uint32) (err error) = wtsapi32.WTSQuerySessionInformationW

// https://learn.microsoft.com/en-us/windows/win32/api/wtsapi32/nf-wtsapi32-wtsdisconnectsession
//sys	wtsDisconnectSession(server windows.Handle, session uint32, wait bool) (err error) = wtsapi32.WTSDisconnectSession

// https://learn.microsoft.com/en-us/windows/win32/api/wtsapi32/nf-wtsapi32-wtslogoffsession
//sys	wtsLogoffSession(server windows.Handle, session uint32, wait bool) (err error) = wtsapi32.WTSLogoffSession

const (
	thisServer = windows.Handle(0) // WTS_CURRENT_SERVER_HANDLE
	infoEx     = 25                // WTSSessionInfoEx of WTS_INFO_CLASS
)

// wts is Windows itself.
type wts struct{}

func (wts) Sessions() ([]uint32, error) {
	var (
		list  *windows.WTS_SESSION_INFO
		count uint32
	)
	if err := windows.WTSEnumerateSessions(thisServer, 0, 1, &list, &count); err != nil {
		return nil, fmt.Errorf("list the sessions: %w", err)
	}
	defer windows.WTSFreeMemory(uintptr(unsafe.Pointer(list)))
	var ids []uint32
	for _, s := range unsafe.Slice(list, count) {
		ids = append(ids, s.SessionID)
	}
	return ids, nil
}

func (wts) SessionInfo(id uint32) ([]byte, error) {
	var (
		b *byte
		n uint32
	)
	if err := wtsQuerySessionInformation(thisServer, id, infoEx, &b, &n); err != nil {
		return nil, err
	}
	defer windows.WTSFreeMemory(uintptr(unsafe.Pointer(b)))
	return append([]byte(nil), unsafe.Slice(b, n)...), nil
}

func (wts) Disconnect(id uint32) error { return wtsDisconnectSession(thisServer, id, false) }

func (wts) Logoff(id uint32) error { return wtsLogoffSession(thisServer, id, false) }
