package x11

import "fmt"

// Codes of core events.
const (
	KeyPress        = 2
	ButtonPress     = 4
	ButtonRelease   = 5
	Expose          = 12
	DestroyNotify   = 17
	UnmapNotify     = 18
	MapNotify       = 19
	ConfigureNotify = 22
	PropertyNotify  = 28
	SelectionClear  = 29
	ClientMessage   = 33

	genericEvent = 35
)

// Event masks for CreateWindow and SelectInput.
const (
	ButtonPressMask    = 1 << 2
	ExposureMask       = 1 << 15
	VisibilityMask     = 1 << 16
	StructureMask      = 1 << 17 // the window itself
	SubstructureMask   = 1 << 19 // its children
	PropertyChangeMask = 1 << 22
)

// Event is one event as it came, at least 32 bytes of it.
type Event struct {
	Code byte // without the mark of SendEvent
	Sent bool // made by another client's SendEvent, not by the server
	Data []byte
}

func newEvent(m []byte) Event {
	return Event{Code: m[0] &^ 0x80, Sent: m[0]&0x80 != 0, Data: m}
}

// Window is the window that a core event other than key, button, motion and crossing is about.
func (e Event) Window() uint32 {
	if len(e.Data) < 8 {
		return 0
	}
	return le.Uint32(e.Data[4:])
}

// Error is the server's answer to a request that it did not carry out.
type Error struct {
	Code  byte
	Major byte   // the request's opcode
	Minor uint16 // its number within an extension
	ID    uint32 // what was wrong, often a window
}

// Codes of Error that callers ask about.
const (
	BadWindow = 3
	BadAccess = 10
)

func newError(m []byte) error {
	return &Error{Code: m[1], Major: m[10], Minor: le.Uint16(m[8:]), ID: le.Uint32(m[4:])}
}

var errorNames = [...]string{1: "BadRequest", "BadValue", "BadWindow", "BadPixmap", "BadAtom", "BadCursor", "BadFont", "BadMatch",
	"BadDrawable", "BadAccess", "BadAlloc", "BadColor", "BadGC", "BadIDChoice", "BadName", "BadLength", "BadImplementation"}

// Error names the error and the request.
func (e *Error) Error() string {
	name := fmt.Sprintf("error %d", e.Code)
	if int(e.Code) < len(errorNames) && e.Code > 0 {
		name = errorNames[e.Code]
	}
	return fmt.Sprintf("x11: %s for request %d.%d", name, e.Major, e.Minor)
}
