package notify

import (
	"context"
	"runtime"
	"unsafe"

	"github.com/lxn/win"
)

// speaker tells screen readers that a card is an alert, so that they say it without being asked: it never has the focus,
// and what is said of a window otherwise is said when it gets that. It has a thread of its own, so that no part of the
// system that does not answer delays a card. Where nothing can be told, cards are silent.
// learn.microsoft.com/windows/win32/api/oleacc/nn-oleacc-iaccpropservices
type speaker struct{ cards latest[win.HWND] }

func newSpeaker() speaker { return speaker{newLatest[win.HWND]()} }

// say lets screen readers say the name of a window. It does not wait, and one goroutine may call it.
func (s speaker) say(w win.HWND) { s.cards.put(w) }

// run says what say wants until ctx ends.
func (s speaker) run(ctx context.Context) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var services *win.IAccPropServices
	begun := false
	for {
		select {
		case <-ctx.Done():
			if services != nil {
				services.Release()
			}
			if begun {
				win.CoUninitialize()
			}
			return
		case w := <-s.cards:
			if !begun {
				begun = win.SUCCEEDED(win.CoInitializeEx(nil, win.COINIT_MULTITHREADED))
				services = annotations(begun)
			}
			speak(services, w)
		}
	}
}

// annotations is where roles of windows are told, or nil.
func annotations(begun bool) *win.IAccPropServices {
	var p unsafe.Pointer
	if !begun || win.FAILED(win.CoCreateInstance(&win.CLSID_AccPropServices, nil, win.CLSCTX_INPROC_SERVER, &win.IID_IAccPropServices, &p)) {
		return nil
	}
	return (*win.IAccPropServices)(p)
}

// speak announces a window as an alert. What was told of it ends with the window.
func speak(services *win.IAccPropServices, w win.HWND) {
	if services != nil {
		var role win.VARIANT
		role.SetLong(win.ROLE_SYSTEM_ALERT)
		services.SetHwndProp(w, win.OBJID_CLIENT, win.CHILDID_SELF, &win.PROPID_ACC_ROLE, &role)
	}
	win.NotifyWinEvent(win.EVENT_SYSTEM_ALERT, w, win.OBJID_CLIENT, win.CHILDID_SELF)
}
