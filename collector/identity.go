package collector

import (
	"context"
	"errors"
	"time"

	"stepaway/audit"
)

// Own is the device under which the collector's own events stand, in one chain for all collectors on a store. No device
// can enroll by this name.
const Own = audit.Label("collector/own")

// OwnEpoch is the epoch of Own.
const OwnEpoch = "0000000000000001"

// Identities is what a store knows of devices and the certificates that they show.
type Identities interface {
	// Issued notes a certificate that was made for a device.
	Issued(ctx context.Context, c Certificate) error
	// Standing tells how a certificate stands that a device shows. It notes the first use, and one that was never heard
	// of: unless the device was revoked, which is then true of it as well.
	Standing(ctx context.Context, c Certificate, now time.Time) (Standing, error)
	// Revoke refuses the certificates that the device has, and all that are not known yet; its unused tokens are spent.
	// It answers how many certificates there were, or ErrDevice where the device is not known.
	Revoke(ctx context.Context, device audit.Label, now time.Time) (int, error)
	// Readmit lets certificates of the device in again that are not known yet. Those revoked stay so.
	Readmit(ctx context.Context, device audit.Label) error
	// Certificates answers those that have not ended by now, revoked ones among them, by device and time of issue.
	Certificates(ctx context.Context, now time.Time) ([]Certificate, error)
	// See notes where a device was seen and answers what came back after something else had taken its place. It tells of
	// a device once an hour at most; a shared device keeps the time of the last telling.
	See(ctx context.Context, s Sighting) ([]Return, error)
	// Shared answers the devices that See told of, and when last.
	Shared(ctx context.Context) (map[audit.Label]time.Time, error)
	// Record adds an event of the collector's own to the end of its chain. Device, epoch, number and previous hash are
	// filled in.
	Record(ctx context.Context, e audit.Event) error
}

// ErrDevice is the error of a device that is not known.
var ErrDevice = errors.New("device not known")

// Certificate is what is kept of one.
type Certificate struct {
	ID      string      `json:"id"` // SHA-256 of its DER, hex
	Device  audit.Label `json:"-"`
	Issued  time.Time   `json:"issued"`
	Until   time.Time   `json:"until"`
	Used    time.Time   `json:"used,omitzero"`    // first
	Revoked time.Time   `json:"revoked,omitzero"` // since
}

// Standing of a certificate.
type Standing struct {
	Revoked bool
}

// Sighting is what a device showed of itself. Empty fields are not looked at.
type Sighting struct {
	Device      audit.Label
	Certificate string // its ID
	Epoch       string
	Boot        string
	Fork        bool   // it holds another history than the store
	Peer        string // address
	At          time.Time
}

// Return is one thing that came back, or a fork.
type Return struct {
	What  audit.Label // certificate, epoch, boot, fork
	Value string
	After string // what had taken its place
	Peer  string // the address at which that was seen first
}
