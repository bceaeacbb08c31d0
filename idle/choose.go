package idle

import (
	"fmt"
	"strings"

	"stepaway/session"
)

// Sources of input.
const (
	Evdev    = "evdev"    // input devices, read from the kernel
	X11      = "x11"      // raw events or the idle counter of a display's server
	Notifier = "notifier" // ext-idle-notify, version 2, of a Wayland compositor
	Mutter   = "mutter"   // the idle monitor of GNOME's compositor
	TTY      = "tty"      // when the terminal was last read from
	None     = "none"     // input cannot be seen
)

// Facts are what the choice of a source rests on.
type Facts struct {
	Root     bool
	Kind     session.Kind
	Seat     string // empty if none
	Hardware int    // keyboards, pointers and touch devices of the seat that can be read
	Virtual  int    // devices of the seat that a program made
	Had      bool   // the seat has or had such hardware since the start
	Display  string // "" if none is known
	Cookie   bool   // the display can be asked
	Notifier int    // version of ext-idle-notify that the session's compositor offers, 0 if none does
	Mutter   bool   // the session's compositor has GNOME's idle monitor
	Terminal bool   // the session has a terminal whose times can be read
	Why      string // what stood in the way of the display or the compositor, a few words
}

// Choice is where the input of a session is seen.
type Choice struct {
	Source string // Evdev, X11, Notifier, Mutter, TTY or None
	Why    string // one line for the log, with the facts
}

// Choose picks the source that a user can influence least.
func Choose(f Facts) Choice {
	source := f.source()
	var b strings.Builder
	fmt.Fprintf(&b, "idle: [root=%s kind=%s seat=%s evdev=%d virtual=%d display=%s cookie=%s notifier=%d mutter=%s tty=%s ret=%s]",
		yes(f.Root), or(string(f.Kind), "unknown"), or(f.Seat, "none"), f.Hardware, f.Virtual, or(f.Display, "none"), yes(f.Cookie),
		f.Notifier, yes(f.Mutter), yes(f.Terminal), source)
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
	case f.Kind == session.Wayland && !f.Had && f.Notifier >= ignoresInhibitors:
		return Notifier
	case f.Kind == session.Wayland && !f.Had && f.Mutter:
		return Mutter
	case !f.Kind.Graphical() && f.Terminal:
		return TTY
	}
	return None
}

// ignoresInhibitors is the first version of ext-idle-notify that tells of input alone. The one before is silent while any
// program inhibits idleness, as a playing video does: what it does not say is no input, and what it says could only bring
// a lock nearer. A session of which nothing else is known is secured a limit after its start or return, which is as near
// as can be, so it is not asked.
const ignoresInhibitors = 2

// reason says in words what a reader of the log could not see from the facts.
func (f Facts) reason(source string) string {
	switch {
	case source == Evdev:
		return ""
	case source == X11 && f.Root && f.Seat != "":
		return "no device of the seat can be read; the display's word is taken"
	case source == Notifier || source == Mutter:
		return "no device of the seat can be read; the compositor's word is taken, injected input counts"
	case source == None && f.Kind == session.Wayland && f.Had:
		return "the seat had devices, and none can be read now; the compositor's word is not taken for theirs"
	case source == None && f.Kind == session.Wayland && f.Notifier > 0:
		return "what the compositor tells of idleness honours inhibitors, and is not believed"
	case source == None && f.Kind == session.Wayland && f.Why == "":
		return "the compositor tells nothing of input"
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
