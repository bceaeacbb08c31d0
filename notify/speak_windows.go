package notify

import (
	"unsafe"

	"github.com/lxn/win"
)

// speaker tells screen readers that a card is an alert, so that they say it without being asked: it never has the focus,
// and what is said of a window otherwise is said when it gets that. Where that cannot be told, cards are silent.
// learn.microsoft.com/windows/win32/api/oleacc/nn-oleacc-iaccpropservices
type speaker struct {
	services *win.IAccPropServices
	begun    bool // COM, on this thread
}

// begin must be called on the thread of the windows, and end on the same.
func (s *speaker) begin() {
	s.begun = win.SUCCEEDED(win.CoInitializeEx(nil, win.COINIT_APARTMENTTHREADED))
	if !s.begun {
		return
	}
	var p unsafe.Pointer
	hresult := win.CoCreateInstance(&win.CLSID_AccPropServices, nil, win.CLSCTX_INPROC_SERVER, &win.IID_IAccPropServices, &p)
	if win.SUCCEEDED(hresult) && p != nil {
		s.services = (*win.IAccPropServices)(p)
	}
}

func (s *speaker) end() {
	if s.services != nil {
		s.services.Release()
		s.services = nil
	}
	if s.begun {
		win.CoUninitialize()
	}
}

// say lets screen readers say the name of a window.
func (s *speaker) say(w win.HWND) {
	if s.services != nil {
		var role win.VARIANT
		role.SetLong(win.ROLE_SYSTEM_ALERT)
		s.services.SetHwndProp(w, win.OBJID_CLIENT, win.CHILDID_SELF, &win.PROPID_ACC_ROLE, &role)
	}
	win.NotifyWinEvent(win.EVENT_SYSTEM_ALERT, w, win.OBJID_CLIENT, win.CHILDID_SELF)
}

// forget must be called before a window ends of which something was said.
func (s *speaker) forget(w win.HWND) {
	if s.services != nil {
		s.services.ClearHwndProps(w, win.OBJID_CLIENT, win.CHILDID_SELF, []win.MSAAPROPID{win.PROPID_ACC_ROLE})
	}
}
