// Package audit defines the events that Stepaway records, and the chain that binds them.
//
// Failure rules: an event can hold only numbers, enumerated words and Labels, so that window titles,
// command lines, file names, key strokes and patient data cannot be expressed. What is too long or has
// a foreign character is cut or replaced, never refused: an event with a mangled label is worth more
// than none. The package is pure: it reads no clock and no file.
package audit

import (
	"strconv"
	"strings"
	"time"
)

// Version is the version of the envelope, the field "v".
const Version = 1

// Label is a short name from the system or the policy: a user, a role, a client, a session id.
// Only MakeLabel makes one that is safe to print anywhere.
type Label string

// maxLabel is the longest label in bytes.
const maxLabel = 64

// MakeLabel turns s into a label: ASCII letters, digits and ` ._-@/:+\` stay, anything else becomes "?",
// and at most 64 bytes are kept. A leading "+", "-" or "@" becomes "?", so that no spreadsheet takes a
// label for a formula.
func MakeLabel(s string) Label {
	if clean(s) {
		return Label(s)
	}
	var b strings.Builder
	for _, r := range s {
		if b.Len() == maxLabel {
			break
		}
		if !labelRune(r) || (b.Len() == 0 && strings.ContainsRune("+-@", r)) {
			r = '?'
		}
		b.WriteRune(r)
	}
	return Label(b.String())
}

// clean reports whether a text is a label as it stands.
func clean(s string) bool {
	for i := range len(s) {
		if !labelRune(rune(s[i])) || i == 0 && (s[i] == '+' || s[i] == '-' || s[i] == '@') {
			return false
		}
	}
	return len(s) <= maxLabel
}

func labelRune(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		return true
	}
	return strings.ContainsRune(` ._-@/:+\`, r)
}

// Type names what happened. The list is closed: Types holds it.
type Type string

// Severity says who should look: a routine record, a warning for IT, an alert for the security officer.
type Severity string

const (
	Info    Severity = "info"
	Warning Severity = "warning"
	Alert   Severity = "alert"
)

// Outcome of what the event tells of.
type Outcome string

const (
	Success Outcome = "success"
	Failure Outcome = "failure"
)

// Reason is why it happened, an enumerated word.
type Reason string

const (
	Idle          Reason = "idle"
	Manual        Reason = "manual"
	Remote        Reason = "remote"
	Sensor        Reason = "sensor"
	Policy        Reason = "policy"
	UnknownReason Reason = "unknown"
)

// Event is one record. Who fills what: the enforcer everything down to Facts; the courier Device, Site,
// Unit, Epoch, Seq and Prev when it appends the event to its spool. Field order is the order of the
// encoded bytes, which the chain covers.
type Event struct {
	V        int       `json:"v"`
	Type     Type      `json:"type"`
	Device   Label     `json:"device,omitempty"` // from the certificate; the collector checks it against the peer
	Site     Label     `json:"site,omitempty"`
	Unit     Label     `json:"unit,omitempty"`
	Epoch    string    `json:"epoch,omitempty"` // names one spool file, 16 hex digits
	Seq      uint64    `json:"seq,omitempty"`   // 1.. within the epoch, without holes
	Boot     string    `json:"boot,omitempty"`  // the kernel's boot id
	Run      string    `json:"run,omitempty"`   // names one start of the enforcer, 8 hex digits
	N        uint64    `json:"n,omitempty"`     // 1.. within the run; a hole is a lost event
	Wall     time.Time `json:"wall"`            // wall clock, UTC, for people
	BootMS   int64     `json:"boot_ms"`         // since boot, sleep counted, milliseconds
	Synced   bool      `json:"synced"`          // wall clock is kept in step by the system
	Agent    string    `json:"agent"`           // version of the program that saw it
	Policy   string    `json:"policy,omitempty"`
	Severity Severity  `json:"severity"`
	Outcome  Outcome   `json:"outcome"`
	Reason   Reason    `json:"reason,omitempty"`
	Session  *Session  `json:"session,omitempty"`
	Facts    *Facts    `json:"facts,omitempty"`
	Prev     string    `json:"prev,omitempty"` // SHA-256 of the event before it in the epoch, 64 hex digits
}

// Session says whose session an event is about.
type Session struct {
	ID   Label  `json:"id"`
	Kind Label  `json:"kind"`          // x11, wayland, tty, ssh, console, rdp, unknown
	UID  uint32 `json:"uid"`           // 4294967295 on Windows
	SID  Label  `json:"sid,omitempty"` // the account on Windows
	User Label  `json:"user,omitempty"`
	Role Label  `json:"role,omitempty"`
	Seat Label  `json:"seat,omitempty"`
}

// Account is the owner as his system numbers him: "uid:1000", or "sid:S-1-5-21-...".
func (s Session) Account() string {
	if s.SID != "" {
		return "sid:" + string(s.SID)
	}
	return "uid:" + strconv.FormatUint(uint64(s.UID), 10)
}

// Facts are what else is known, each field used by the types that need it. Milliseconds throughout.
type Facts struct {
	IdleMS  *int64 `json:"idle_ms,omitempty"`  // since the last believed input
	LateMS  *int64 `json:"late_ms,omitempty"`  // since the deadline, or since an event could first not be stored
	LimitMS *int64 `json:"limit_ms,omitempty"` // the limit in force
	Rung    Label  `json:"rung,omitempty"`     // what was tried: logind, desktop, fallback, greeter, terminate; workstation, disconnect
	Proof   Label  `json:"proof,omitempty"`    // what was seen: none, claim, locker, greeter, ended
	Attempt int    `json:"attempt,omitempty"`  // 1.. of this deadline
	Source  Label  `json:"source,omitempty"`   // where input is read: evdev, x11, tty, none; or who approved
	Client  Label  `json:"client,omitempty"`   // the policy's name of an EHR client
	Key     Label  `json:"key,omitempty"`      // a policy key, an item of the installation, or a device
	Old     Label  `json:"old,omitempty"`      // its value before
	New     Label  `json:"new,omitempty"`      // its value after
	Count   int64  `json:"count,omitempty"`    // how many: processes, lost events
	From    uint64 `json:"from,omitempty"`     // first number concerned
	To      uint64 `json:"to,omitempty"`       // last number concerned
	Code    Label  `json:"code,omitempty"`     // an enumerated word for what went wrong
	Ref     Label  `json:"ref,omitempty"`      // an epoch, a run or a hash this event points at
}

// MS makes the pointer that the millisecond fields of Facts want, so that 0 is told from absent.
func MS(d time.Duration) *int64 {
	ms := d.Milliseconds()
	return &ms
}
