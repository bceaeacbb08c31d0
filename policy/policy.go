// Package policy holds every setting of Stepaway: what it means, where its value came from, and what it
// comes to for one user.
//
// Failure rules: a policy that cannot be read or has one wrong value is not taken at all; the last good
// policy rules on, and without one the strict default. There is no value that means "off". Several roles:
// the strictest wins; an unknown user gets the default. All but the file source is pure.
package policy

import "time"

// Action is what is done at the deadline.
type Action string

const (
	Lock                Action = "lock"
	Disconnect          Action = "disconnect"
	SignOut             Action = "sign-out"
	CloseClients        Action = "close-clients"
	CloseClientsAndLock Action = "close-clients-and-lock"
)

// Proof is how surely a session is known to be locked, weakest first.
type Proof string

const (
	ProofNone    Proof = "none"
	ProofClaim   Proof = "claim"   // LockedHint, GetActive: the session's own word
	ProofLocker  Proof = "locker"  // a root-owned locker that started after the request lives and holds the screen
	ProofGreeter Proof = "greeter" // the session is not active and a greeter is on its seat
	ProofEnded   Proof = "ended"   // the session is gone
)

// proofs in order of strength.
var proofs = []Proof{ProofNone, ProofClaim, ProofLocker, ProofGreeter, ProofEnded}

// AtLeast reports whether p is as strong a proof as least. An unknown word is no proof.
func (p Proof) AtLeast(least Proof) bool { return p.strength() >= least.strength() }

func (p Proof) strength() int {
	for i, q := range proofs {
		if p == q {
			return i
		}
	}
	return 0
}

// Policy is everything that a site can set. Durations are in the policy's own words ("15m").
type Policy struct {
	Version   int           // rises with every change; 0 where the site does not count
	Limit     time.Duration // without input this long: secured
	Warning   time.Duration // warned this long before; at most half of the limit is used
	Action    Action
	Stages    Stages
	Lock      LockPolicy
	Clients   []Client
	Class     string // of this workstation; "" or the name of one of Classes
	Classes   []Class
	Roles     []Role
	Collector Collector
	Approval  Approval
}

// Stages follow when a session stays secured. 0 is never.
type Stages struct {
	CloseClientsAfter time.Duration
	SignOutAfter      time.Duration
}

// LockPolicy says how a desktop is locked.
type LockPolicy struct {
	Proof     Proof    // the least proof that counts
	Fallback  []string // command of a locker started when the desktop's own does not lock; absolute path first
	Terminate bool     // whether the last rung may end the session
}

// Client is an EHR client to close.
type Client struct {
	Name           string
	Paths          []string // absolute paths of its executables, * and ? within a name; see PathMatches
	Publisher      string   // Windows: the signer's name; "": any
	AtDeadline     AtDeadline
	Grace          time.Duration // between asking politely and ending by force
	BusyFile       string        // while it exists and only root can have written it, closing waits
	BusyMost       time.Duration // but not longer than this
	Caches         []string      // directories below the user's home to clear afterwards
	ClearClipboard bool
}

// AtDeadline is what happens to one client.
type AtDeadline string

const (
	Close AtDeadline = "close" // ask, then end after the grace
	End   AtDeadline = "end"   // end at once
	Leave AtDeadline = "leave"
)

// Terms are what a role or a class may set of its own. The zero value of each stands for the general setting.
type Terms struct {
	Limit             time.Duration
	Action            Action
	CloseClientsAfter time.Duration
	SignOutAfter      time.Duration
}

// Role gives the users of some groups terms of their own.
type Role struct {
	Name   string
	Groups []string
	Terms
}

// Class gives a kind of workstation terms of its own.
type Class struct {
	Name string
	Terms
}

// Collector is where events go.
type Collector struct {
	URL   string
	CA    string // file with the collector's CA certificate; empty: the one got at enrolment
	Proxy string // http://HOST:PORT or https://HOST:PORT; empty: none
}

// Approval says whether a weaker policy needs a second person.
type Approval struct {
	Required       bool
	AllowedSigners string // file, in the format of ssh-keygen
	Group          string // the devices that one approval is good for
}
