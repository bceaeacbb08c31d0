// Package session holds the words for who is logged on, where and how.
//
// Failure rules: a field that could not be read is empty, and empty is strict: a session of unknown
// kind, seat or owner still has a limit and is still secured. The package is pure: it reads nothing.
// session/logind fills it in on Linux, session/wts on Windows.
package session

import "time"

// Kind is how a session reaches its user.
type Kind string

const (
	X11     Kind = "x11"
	Wayland Kind = "wayland"
	TTY     Kind = "tty" // a text console
	SSH     Kind = "ssh"
	Console Kind = "console" // the screen and keyboard of a Windows machine
	RDP     Kind = "rdp"     // a Windows desktop over the network
	Unknown Kind = "unknown"
)

// Graphical reports whether a session of this kind has a desktop that can be locked.
func (k Kind) Graphical() bool {
	return k == X11 || k == Wayland || k == Console || k == RDP
}

// NoUID is the UID of an account that has none. It is never root's.
const NoUID = ^uint32(0)

// Session is one logon of one user, as the operating system tells it. Every field comes from a source
// that the session's own user cannot write, except LockedHint and Unlocked, which are claims.
type Session struct {
	ID         string        // the system's own name, unique since boot
	UID        uint32        // owner on Linux; NoUID on Windows
	SID        string        // owner on Windows, "S-1-5-..."; empty on Linux
	User       string        // owner's account name
	Groups     []string      // names of the owner's groups, primary first
	Kind       Kind          // how it reaches its user
	Remote     bool          // comes over the network, by the system's word
	Seat       string        // "seat0", or empty when it has no seat
	VT         uint          // virtual terminal on its seat, 0 if none
	Active     bool          // the one in front on its seat; a session without a seat is always active
	Closing    bool          // logged out, processes still ending: not enforced
	Display    string        // X11 display such as ":0", or empty
	TTY        string        // terminal device without "/dev/", such as "pts/3", or empty
	Leader     int           // pid of the process that opened the session, 0 if unknown
	Scope      string        // control group of its processes relative to the cgroup root, or empty
	Since      time.Duration // boot time at which it began, 0 if unknown
	LockedHint bool          // the session's own claim to be locked; never proof by itself
	Left       time.Duration // boot time since which nobody can sit before it, as one that is disconnected; 0 if somebody can
	Unlocked   time.Duration // boot time at which logind last told it to unlock, as a greeter has it do; 0 if never. Its user can too
}

// Attended reports whether a person can sit before the session: it has a desktop or a terminal. A file
// transfer or a command over ssh has neither, and ending a nightly backup would secure nothing.
func (s Session) Attended() bool {
	return s.Kind.Graphical() || s.Display != "" || s.TTY != ""
}
