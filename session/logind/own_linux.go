package logind

import (
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"stepaway/proc"
	"stepaway/session"
)

// Own tells of the caller's own session without logind, from the caller's environment and processes. Whoever can change
// those is the one whom the session belongs to: good for a program that serves this session only, and for no other.
func Own() (session.Session, error) {
	p, err := proc.Read(os.Getpid())
	if err != nil {
		return session.Session{}, fmt.Errorf("read own session: %w", err)
	}
	s := session.Session{
		ID: "self", UID: p.UID, Active: true, Kind: session.Unknown,
		Display: display(os.Getenv("DISPLAY")), TTY: ownTTY(), Seat: plain(os.Getenv("XDG_SEAT")),
		Leader: os.Getppid(), Remote: os.Getenv("SSH_CONNECTION") != "",
	}
	if id := plain(os.Getenv("XDG_SESSION_ID")); id != "" {
		s.ID = id
	}
	if vt, err := strconv.ParseUint(os.Getenv("XDG_VTNR"), 10, 16); err == nil {
		s.VT = uint(vt)
	}
	if strings.HasSuffix(p.Group, "/session-"+s.ID+".scope") {
		s.Scope = p.Group
	}
	s.Kind, s.Since = ownKind(s), p.Start
	s.User, s.Groups = ownNames(p.UID)
	return s, nil
}

func ownKind(s session.Session) session.Kind {
	switch {
	case os.Getenv("WAYLAND_DISPLAY") != "":
		return session.Wayland
	case s.Display != "":
		return session.X11
	case s.Remote:
		return session.SSH
	case s.TTY != "":
		return session.TTY
	}
	return session.Unknown
}

// ownNames returns the account and its groups; names that cannot be found are left out.
func ownNames(uid uint32) (name string, names []string) {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		name, names = u.Username, localGroups(u.Username)
	}
	ids, _ := proc.GroupIDs(os.Getpid())
	for _, id := range ids {
		if grp, err := user.LookupGroupId(strconv.FormatUint(uint64(id), 10)); err == nil && !slices.Contains(names, grp.Name) {
			names = append(names, grp.Name)
		}
	}
	return name, names
}

// ownTTY is the terminal on standard input, or "".
func ownTTY() string {
	name, err := os.Readlink("/proc/self/fd/0")
	if err != nil {
		return ""
	}
	return tty(name)
}
