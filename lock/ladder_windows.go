package lock

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"golang.org/x/sys/windows"

	"stepaway/policy"
	"stepaway/session"
)

// Desk is what only a process within a session can do. None of it is proof.
type Desk interface {
	Lock(ctx context.Context, id string) error // LockWorkStation
	// CloseWindows posts WM_CLOSE to the windows of processes and returns how many were told.
	CloseWindows(ctx context.Context, id string, pids []uint32) (asked int, err error)
	EmptyClipboard(ctx context.Context, id string) error
}

// System is what Windows knows and does of sessions. Its calls may take as long as they like.
type System interface {
	Sessions() ([]uint32, error)           // WTSEnumerateSessions
	SessionInfo(id uint32) ([]byte, error) // WTSQuerySessionInformation for WTSSessionInfoEx, as it comes
	Disconnect(id uint32) error            // WTSDisconnectSession, without waiting
	Logoff(id uint32) error                // WTSLogoffSession, without waiting
}

// Options are what a Ladder needs.
type Options struct {
	Root     bool                 // runs as LocalSystem and may act on every session; otherwise on the caller's own only
	Desk     Desk                 // nil: nothing within a session can be asked
	System   System               // nil: Windows itself
	Desktop  string               // where programs are started; "": that of the user, winsta0\default
	Log      *slog.Logger         // nil: silent
	Now      func() time.Duration // time since boot; nil: the system's
	RungWait time.Duration        // for the proof of one rung; 0: two seconds
}

// endWait is for a session to end: programs are told and have some seconds of their own.
const endWait = 20 * time.Second

func bootTime() time.Duration { return windows.DurationSinceBoot() }

// facts are what a climb knows beside what every system has.
type facts struct {
	number uint32 // of the session
	odd    error  // why it has none
}

func (l *Ladder) system() System {
	if l.o.System != nil {
		return l.o.System
	}
	return wts{}
}

// before looks, quickly, at whether the session is secured already.
func (c *climb) before(ctx context.Context) (secured bool) {
	c.number, c.odd = sessionID(c.s)
	ctx, cancel := context.WithTimeout(ctx, beforeAsking)
	defer cancel()
	c.look(ctx)
	return c.best.AtLeast(policy.ProofLocker) && c.best.AtLeast(c.least)
}

// rungs are the means for a session, in order.
func (l *Ladder) rungs(s session.Session, w Want) []rung {
	var (
		station = rung{Workstation, (*climb).lockWorkstation, l.o.RungWait}
		away    = rung{Away, (*climb).disconnect, l.o.RungWait}
		end     = rung{Terminate, (*climb).logoff, endWait}
	)
	if ends(s, w) {
		return []rung{end}
	}
	list := []rung{station, away}
	if w.Goal == Disconnect {
		list = []rung{away, station}
	}
	if w.Terminate {
		list = append(list, end)
	}
	return list
}

// see returns what is proved now.
func (c *climb) see(ctx context.Context) policy.Proof { return c.Look(ctx, c.s, 0) }

// ripen returns the rung's code: what Windows says of a lock counts at once.
func (c *climb) ripen(_ context.Context, code Code) Code { return code }

// lockWorkstation has the session lock itself. LockWorkStation only starts that, and its success says so little.
func (c *climb) lockWorkstation(ctx context.Context) (Code, func(context.Context) bool) {
	if c.o.Desk == nil {
		return Unavailable, nil
	}
	return c.failed("LockWorkStation", c.o.Desk.Lock(ctx, c.s.ID)), nil
}

// disconnect takes screen and keyboard away from the session: the logon screen is in front.
func (c *climb) disconnect(context.Context) (Code, func(context.Context) bool) {
	return c.order("WTSDisconnectSession", c.system().Disconnect), nil
}

// logoff ends the session and every program in it.
func (c *climb) logoff(context.Context) (Code, func(context.Context) bool) {
	return c.order("WTSLogoffSession", c.system().Logoff), nil
}

func (c *climb) order(what string, do func(id uint32) error) Code {
	if c.odd != nil {
		return c.failed(what, c.odd)
	}
	return c.failed(what, do(c.number))
}

// sessionID is the number of a session.
func sessionID(s session.Session) (uint32, error) {
	id, err := strconv.ParseUint(s.ID, 10, 32)
	return uint32(id), err
}

// codeOf names an error of a request.
func codeOf(err error) Code {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return Timeout
	case errors.Is(err, windows.ERROR_CALL_NOT_IMPLEMENTED), errors.Is(err, windows.ERROR_NOT_SUPPORTED):
		return Unavailable
	}
	return Denied
}
