// Package link is what enforcer, tray and courier say to one another over a local socket.
//
// Failure rules: a frame that is too long, not JSON, has an unknown field or not exactly one body ends the
// connection. Who speaks is the kernel's word (peer credentials), never the message's. No message carries
// an idle time, so nothing that a peer says can put a deadline off: a tray may ask for a lock, no more.
// The messages are pure; the socket, a named pipe on Windows, is in server.go and beside it.
package link

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"stepaway/audit"
)

// MaxFrame is the largest frame in bytes, length prefix not counted.
const MaxFrame = 64 << 10

// ErrFrame is the error of a peer that does not keep to the protocol.
var ErrFrame = errors.New("malformed frame")

// Message is one frame: exactly one field is set.
type Message struct {
	Hello   *Hello   `json:"hello,omitempty"`
	Beat    *Beat    `json:"beat,omitempty"`
	LockNow *LockNow `json:"lock_now,omitempty"`
	Ask     *Ask     `json:"ask,omitempty"`
	Stored  *Stored  `json:"stored,omitempty"`
	Courier *Courier `json:"courier,omitempty"`
	State   *State   `json:"state,omitempty"`
	Events  *Events  `json:"events,omitempty"`
	Status  *Status  `json:"status,omitempty"`
	Refused *Refused `json:"refused,omitempty"`
}

// Role is what a peer wants to be. The enforcer grants it by the peer's credentials.
type Role string

const (
	RoleTray    Role = "tray"    // granted for sessions of the peer's own user
	RoleCourier Role = "courier" // granted to the courier's account only
	RoleStatus  Role = "status"  // granted to anyone; a user sees his own sessions, root sees all
)

// Hello is the first message of every peer.
type Hello struct {
	Role    Role   `json:"role"`
	Session string `json:"session,omitempty"` // tray: the session it is in; must belong to the peer's user
	Version string `json:"version"`
}

// Beat is the tray's sign of life, every BeatEvery.
type Beat struct{}

// BeatEvery is how often a tray must send a Beat; after three times that it is lost. A tray that was ended or stopped is
// noticed sooner by its process; the beat tells of one that hangs, and may be rare.
const BeatEvery = time.Minute

// LockNow asks to lock the tray's session at once. It can only bring a lock nearer.
type LockNow struct{}

// Ask wants one Status.
type Ask struct{}

// Stored says that the courier has every event of Run up to N on disk.
type Stored struct {
	Run string `json:"run"`
	N   uint64 `json:"n"`
}

// Courier is what the courier tells of itself, for status and tray. Nothing is decided by it.
type Courier struct {
	Epoch     string `json:"epoch"`
	Head      uint64 `json:"head"`      // last number in the spool
	Acked     uint64 `json:"acked"`     // last number that the collector has
	Bytes     int64  `json:"bytes"`     // size of the spool on disk
	Collector string `json:"collector"` // up, down, none
	Code      string `json:"code"`      // enumerated word for what is wrong, or empty
}

// Phase is the state of one session's deadline.
type Phase string

const (
	Active  Phase = "active"
	Warned  Phase = "warned"
	Expired Phase = "expired" // deadline passed, not yet known to be secured
	Secured Phase = "secured"
)

// State tells a tray about its session. Instants are milliseconds since boot, sleep counted
// (CLOCK_BOOTTIME), the same clock for both.
type State struct {
	Session    string `json:"session"`
	Phase      Phase  `json:"phase"`
	WarnMS     int64  `json:"warn_ms"`     // when the warning is due
	DeadlineMS int64  `json:"deadline_ms"` // when the session must be secured
	LimitMS    int64  `json:"limit_ms"`
	WarningMS  int64  `json:"warning_ms"`
	Action     string `json:"action"`            // lock, disconnect, sign-out, close-clients, close-clients-and-lock
	Clients    string `json:"clients,omitempty"` // names of the programs that the action closes, or empty
	Role       string `json:"role"`              // role that gave the limit, or empty for the default
	Source     string `json:"source"`            // where input is read
	Courier    string `json:"courier"`           // up, down, none: whether records reach the collector
	Unsent     uint64 `json:"unsent"`            // records waiting on this machine
}

// Events hands events to the courier, in order of N. The courier answers with Stored.
type Events struct {
	Run   string        `json:"run"`
	Batch []audit.Event `json:"batch"`
}

// Status is the enforcer's answer to Ask.
type Status struct {
	Version  string          `json:"version"`
	Run      string          `json:"run"`
	NowMS    int64           `json:"now_ms"`
	Policy   string          `json:"policy"` // hash of the policy in force
	Sessions []SessionStatus `json:"sessions"`
	Waiting  int             `json:"waiting"` // events not yet stored by the courier
	Dropped  uint64          `json:"dropped"` // events lost before the courier had them
	Courier  *Courier        `json:"courier,omitempty"`
	Limits   []string        `json:"limits,omitempty"` // what this agent cannot promise here
	Totals   *Totals         `json:"totals,omitempty"`
}

// Totals are counted since the agent started. They name nobody.
type Totals struct {
	Events     map[audit.Type]uint64 `json:"events"`      // recorded, by type
	Locks      []LockTotal           `json:"locks"`       // proved, in the order in which each kind was first seen
	Late       []uint64              `json:"late"`        // proved locks by LateBounds, not cumulative; the last is above them all
	LateSumMS  int64                 `json:"late_sum_ms"` // of all of them
	LateMaxMS  int64                 `json:"late_max_ms"`
	LastLockMS int64                 `json:"last_lock_ms"` // since boot, 0 if none
}

// LockTotal counts proved locks of one kind.
type LockTotal struct {
	Rung  string `json:"rung"`
	Proof string `json:"proof"`
	N     uint64 `json:"n"`
}

// LateBounds are the upper bounds of the buckets of Totals.Late.
var LateBounds = []time.Duration{50 * time.Millisecond, 250 * time.Millisecond, time.Second, 5 * time.Second, 15 * time.Second, time.Minute}

// SessionStatus is one session as the enforcer sees it.
type SessionStatus struct {
	ID       string `json:"id"`
	User     string `json:"user"`
	UID      uint32 `json:"uid"`
	Kind     string `json:"kind"`
	Seat     string `json:"seat,omitempty"`
	Active   bool   `json:"active"`
	IdleMS   int64  `json:"idle_ms"` // -1 if unreadable
	State    State  `json:"state"`
	Why      string `json:"why"`   // reasons for the source of input, one line
	Proof    string `json:"proof"` // proof of the last lock
	Tray     bool   `json:"tray"`
	Readable bool   `json:"readable"` // whether input can be read at all
}

// Refused is the last message on a connection that is turned away: an enumerated word.
type Refused struct {
	Code string `json:"code"` // busy, role, session, protocol
}

// Write sends m as one frame in one Write call.
func Write(w io.Writer, m Message) error {
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode frame: %w", err)
	}
	if len(body) > MaxFrame {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrFrame, len(body), MaxFrame)
	}
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body)))
	_, err = w.Write(append(frame, body...))
	return err
}

// Read takes one frame from a peer that may be hostile. It reads no more than MaxFrame bytes after the
// length; io.EOF means that the peer closed between frames.
func Read(r io.Reader) (Message, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return Message{}, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n == 0 || n > MaxFrame {
		return Message{}, fmt.Errorf("%w: length %d, at most %d", ErrFrame, n, MaxFrame)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return Message{}, fmt.Errorf("%w: cut short", ErrFrame)
	}
	return decode(body)
}
