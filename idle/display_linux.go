package idle

import (
	"context"
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"stepaway/session"
	"stepaway/x11"
)

// display is a display that has let us in.
type display struct {
	name string // ":7"
	conn *x11.Conn
}

func (d *display) close() {
	if d != nil && d.conn != nil {
		d.conn.Close()
	}
}

const dialTimeout = 5 * time.Second

// findDisplay connects to the display of a session. It returns nil without an error where the session has none, and a
// display without a connection, and an error, where it has one that cannot be asked.
func (f *follower) findDisplay(ctx context.Context, s session.Session) (*display, error) {
	name, cookies := f.displayOf(s)
	if name == "" {
		return nil, nil
	}
	d := &display{name: name}
	var last error
	for _, path := range cookies {
		cookie, err := x11.ReadCookie(path, name, s.UID)
		if err == nil {
			d.conn, err = dialOwn(ctx, name, cookie, s.UID)
		}
		if err == nil {
			return d, nil
		}
		last = errors.Join(err, last) // the first files are the likeliest
	}
	conn, err := dialOwn(ctx, name, x11.Cookie{}, s.UID) // some servers let local users in without
	if err != nil {
		return d, oneLine(errors.Join(last, err))
	}
	d.conn = conn
	return d, nil
}

func oneLine(err error) error {
	return errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
}

// dialOwn connects to a display whose server runs as the session's user or root. Anybody may take a free display's
// name; a server of a third user would tell of input as it likes.
func dialOwn(ctx context.Context, name string, cookie x11.Cookie, owner uint32) (*x11.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	c, err := x11.Dial(ctx, name, cookie, 0, owner)
	if err == nil {
		err = c.Rest()
	}
	return c, err
}

// displayOf finds a session's display and the files that may hold its cookie. The name comes from the system where it
// has one; else, for a session that is or may be graphical, from the session's processes, whose word is then
// no better than their user's.
func (f *follower) displayOf(s session.Session) (name string, cookies []string) {
	if !f.w.opt.Root {
		name = or(s.Display, f.w.opt.Display)
		return local(name), appendPath(nil, or(f.w.opt.Authority, filepath.Join(os.Getenv("HOME"), ".Xauthority")))
	}
	name = local(s.Display)
	mayGuess := s.Kind == session.X11 || s.Kind == session.Unknown || s.Kind == ""
	if name == "" && !mayGuess {
		return "", nil
	}
	var homes []string
	environments(f.w.opt.ProcDir, f.w.opt.SysDir, s, func(e environment) bool {
		if name == "" {
			name = local(e.display)
		}
		if local(e.display) != name || name == "" {
			return false
		}
		cookies = appendPath(cookies, e.authority)
		homes = appendPath(homes, filepath.Join(e.home, ".Xauthority"))
		return len(cookies) >= 4
	})
	if u, err := user.LookupId(strconv.FormatUint(uint64(s.UID), 10)); err == nil {
		homes = appendPath(homes, filepath.Join(u.HomeDir, ".Xauthority"))
	}
	return name, append(cookies, homes[:min(len(homes), 4)]...)
}

func appendPath(list []string, path string) []string {
	if !filepath.IsAbs(path) || slices.Contains(list, path) {
		return list
	}
	return append(list, path)
}

// local returns ":7" for ":7.0", and "" for what is no display of this machine.
func local(display string) string {
	number, ok := strings.CutPrefix(display, ":")
	number, _, _ = strings.Cut(number, ".")
	if n, err := strconv.ParseUint(number, 10, 16); ok && err == nil {
		return ":" + strconv.FormatUint(n, 10)
	}
	return ""
}
