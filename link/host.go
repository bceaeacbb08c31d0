package link

import (
	"context"
	"strconv"
)

// Peer is who is at the other end, by the kernel's word.
type Peer struct {
	PID     int32
	UID     uint32 // session.NoUID on Windows
	SID     string // the account on Windows; empty on Linux
	Session string // the session it runs in, where the kernel tells (Windows); empty on Linux
	Root    bool   // root; on Windows the system's own account or an elevated administrator
	Conn    uint64 // tells the connections of one process apart
}

// account tells accounts apart.
func (p Peer) account() string {
	if p.SID != "" {
		return p.SID
	}
	return strconv.FormatUint(uint64(p.UID), 10)
}

// Host is what the enforcer offers to peers. No method may block for longer than a moment.
type Host interface {
	// Tray grants a tray of this peer for one of its own user's sessions, and names the session. A refusal
	// is a code word.
	Tray(p Peer, session string) (id, refusal string)
	// TrayUp and TrayDown tell of a granted tray; show gives it a State, newest wins, never blocking.
	TrayUp(id string, p Peer, show func(State))
	TrayDown(id string, p Peer)
	// LockNow asks to lock a session that Tray granted.
	LockNow(id string)
	// Courier says whether the peer may take the events.
	Courier(p Peer) bool
	// CourierSaid passes on what the courier tells of itself; nil when it left.
	CourierSaid(*Courier)
	// Status for this peer.
	Status(ctx context.Context, p Peer) (Status, error)
}
