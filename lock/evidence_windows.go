package lock

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/windows"

	"stepaway/policy"
	"stepaway/session"
)

// state is what Windows says of a session. The zero value is what an unanswered question leaves: nothing proved.
type state struct {
	ended  bool
	away   bool // disconnected: neither screen nor keyboard leads to it
	locked bool
	open   bool // known to be neither
}

func (s state) proof() policy.Proof {
	switch {
	case s.ended:
		return policy.ProofEnded
	case s.away:
		return policy.ProofGreeter
	case s.locked:
		return policy.ProofLocker
	}
	return policy.ProofNone
}

// Look tells what is proved right now: all of it by the system's word, so that it does not matter what was asked for since.
func (l *Ladder) Look(ctx context.Context, s session.Session, since time.Duration) policy.Proof {
	return l.state(ctx, s).proof()
}

// state asks Windows. Where it does not answer in time nothing is known: the service that answers can hang.
func (l *Ladder) state(ctx context.Context, s session.Session) state {
	got := make(chan state, 1)
	err := l.within(ctx, lookMost, "look at "+s.ID, func() {
		st, err := stateOf(l.system(), s)
		if err != nil {
			l.o.Log.Warn("lock: nothing is known of a session", "session", s.ID, "err", err)
		}
		got <- st
	})
	select {
	case st := <-got:
		return st
	default:
	}
	if err != nil && ctx.Err() == nil {
		l.o.Log.Warn("lock: a look was not finished", "session", s.ID, "err", err)
	}
	return state{}
}

// stateOf asks for a session's state. That it cannot be told does not mean that the session has ended: only a list without it.
func stateOf(sys System, s session.Session) (state, error) {
	id, err := sessionID(s)
	if err != nil {
		return state{}, err
	}
	b, err := sys.SessionInfo(id)
	var info wtsInfoEx
	if err == nil {
		info, err = parseInfo(b, id)
	}
	if err == nil {
		return info.state(), nil
	}
	if ids, listErr := sys.Sessions(); listErr == nil && len(ids) > 0 && !slices.Contains(ids, id) {
		return state{ended: true}, nil
	}
	return state{}, fmt.Errorf("ask for the state of session %d: %w", id, err)
}

// wtsInfoEx is WTSINFOEXW with WTSINFOEX_LEVEL1_W, up to the last field that is looked at:
// https://learn.microsoft.com/en-us/windows/win32/api/wtsapi32/ns-wtsapi32-wtsinfoex_level1_w
type wtsInfoEx struct {
	Level          uint32
	_              uint32
	SessionID      uint32
	SessionState   uint32
	SessionFlags   uint32
	WinStationName [33]uint16
	UserName       [21]uint16
	DomainName     [18]uint16
	_              uint32
	LogonTime      int64
}

// Values of SessionFlags. Windows 7 has the first two the wrong way round; it cannot run this program.
const (
	sessionLocked   = 0 // WTS_SESSIONSTATE_LOCK
	sessionUnlocked = 1 // WTS_SESSIONSTATE_UNLOCK
)

// infoSize is that of the whole structure.
const infoSize = 232

var errOdd = errors.New("the answer has not the form that is documented")

// parseInfo reads an answer. As locked is 0, an empty answer must not pass for one.
func parseInfo(b []byte, id uint32) (wtsInfoEx, error) {
	var info wtsInfoEx
	if len(b) < infoSize {
		return info, fmt.Errorf("%w: %d bytes", errOdd, len(b))
	}
	if err := binary.Read(bytes.NewReader(b), binary.LittleEndian, &info); err != nil {
		return info, err
	}
	if info.Level != 1 || info.SessionID != id || info.SessionState > windows.WTSInit {
		return info, fmt.Errorf("%w: level %d, session %d, state %d", errOdd, info.Level, info.SessionID, info.SessionState)
	}
	return info, nil
}

// state reads an answer. A session without user and time of logon is a logon screen; its user has logged off.
func (i wtsInfoEx) state() state {
	return state{
		ended:  i.UserName[0] == 0 && i.LogonTime == 0,
		away:   i.SessionState == windows.WTSDisconnected,
		locked: i.SessionFlags == sessionLocked,
		open:   i.SessionFlags == sessionUnlocked && i.SessionState == windows.WTSActive,
	}
}
