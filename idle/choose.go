package idle

import (
	"fmt"
	"strings"

	"stepaway/session"
)

// Sources of input.
const (
	Evdev = "evdev" // input devices, read from the kernel
	X11   = "x11"   // raw events or the idle counter of a display's server
	TTY   = "tty"   // when the terminal was last read from
	None  = "none"  // input cannot be seen
)

// Facts are what the choice of a source rests on.
type Facts struct {
	Root     bool
	Kind     session.Kind
	Seat     string // empty if none
	Hardware int    // keyboards, pointers and touch devices of the seat that can be read
	Virtual  int    // devices of the seat that a program made
	Display  string // "" if none is known
	Cookie   bool   // the display can be asked
	Terminal bool   // the session has a terminal whose times can be read
	Why      string // what stood in the way of the display, a few words
}

// Choice is where the input of a session is seen.
type Choice struct {
	Source string // Evdev, X11, TTY or None
	Why    string // one line for the log, with the facts
}

// Choose picks the source that a user can influence least.
func Choose(f Facts) Choice {
	source := f.source()
	var b strings.Builder
	fmt.Fprintf(&b, "idle: [root=%s kind=%s seat=%s evdev=%d virtual=%d display=%s cookie=%s tty=%s ret=%s]",
		yes(f.Root), or(string(f.Kind), "unknown"), or(f.Seat, "none"), f.Hardware, f.Virtual, or(f.Display, "none"), yes(f.Cookie), yes(f.Terminal), source)
	if reason := f.reason(source); reason != "" {
		b.WriteString(" " + reason)
	}
	return Choice{Source: source, Why: b.String()}
}

func (f Facts) source() string {
	switch {
	case f.Root && f.Seat != "" && f.Hardware > 0:
		return Evdev
	case f.Kind != session.Wayland && f.Kind != session.SSH && f.Display != "" && f.Cookie:
		return X11
	case !f.Kind.Graphical() && f.Terminal:
		return TTY
	}
	return None
}

// reason says in words what a reader of the log could not see from the facts.
func (f Facts) reason(source string) string {
	switch {
	case source == Evdev:
		return ""
	case source == X11 && f.Root && f.Seat != "":
		return "no device of the seat can be read; the display's word is taken"
	case source == None && f.Kind == session.Wayland:
		return "a Wayland session is seen through its seat's devices only"
	case source == None && f.Why != "":
		return f.Why
	case source == None && f.Kind == session.X11 && f.Terminal:
		return "the terminal of a graphical session does not tell its input"
	}
	return f.Why
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
