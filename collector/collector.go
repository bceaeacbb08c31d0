// Package collector takes events from couriers, keeps them, and acknowledges what it holds.
//
// Failure rules: an event is durable in the store before its batch is acknowledged. What a device sends is
// believed only about that device, whose name is that of its certificate. An event is kept once; another
// body under the same number is a fork of the device's history: it is kept aside and never acknowledged, and
// so is everything that does not continue what is held. Nothing is acknowledged beyond a hole, unless the
// device shows this collector's own signature for what is missing. A store that fails answers 503 and the
// courier comes again. Nothing is kept in memory that another collector on the same store would need. Events leave the
// store by the rule of retention alone, which leaves a signed record of each run of them.
package collector

import (
	"errors"
	"time"

	"stepaway/audit"
)

// ErrToken is the error of a token that is unknown, used or expired.
var ErrToken = errors.New("token unknown, used or expired")

// Token is what is kept of an enrolment token.
type Token struct {
	Hash    string // SHA-256 of the secret, hex
	Device  audit.Label
	Expires time.Time
}

// Arrival is one checked batch: events of one device and epoch, numbers without a hole.
type Arrival struct {
	Device   audit.Label
	Epoch    string
	Proved   Held // what this collector once signed for the epoch, or zero
	Events   []Event
	Received time.Time
}

// Event is one event of an Arrival.
type Event struct {
	audit.Record
	Prev string
	Type audit.Type
	Wall time.Time
}

// Held is the last event of an epoch up to which everything is held.
type Held struct {
	Last uint64
	Hash string
}

// Device is one enrolled device.
type Device struct {
	Name     audit.Label `json:"device"`
	Enrolled time.Time   `json:"enrolled"`
	Seen     time.Time   `json:"seen,omitzero"` // last batch
	Epochs   []Epoch     `json:"epochs,omitempty"`
}

// Epoch is what is held of one spool of a device.
type Epoch struct {
	Name  string    `json:"epoch"`
	First uint64    `json:"first"`
	Last  uint64    `json:"last"`
	Hash  string    `json:"hash"`
	Since time.Time `json:"since"` // first batch
}

// Hole is a run of events that this collector once acknowledged and that its store does not have: an older backup was
// restored, or a standby took over that was behind.
type Hole struct {
	Device  audit.Label `json:"device"`
	Epoch   string      `json:"epoch"`
	First   uint64      `json:"first"`
	Last    uint64      `json:"last"`
	Noticed time.Time   `json:"noticed"`
}

// Filter chooses events. The zero value lets every event through.
type Filter struct {
	Device audit.Label
	Since  time.Time // received at or after
	Aside  bool      // those kept aside instead: forks
}

// Kept is one event as it is held.
type Kept struct {
	Device audit.Label
	Epoch  string
	audit.Record
	Received time.Time
}
