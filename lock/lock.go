// Package lock secures a session: it asks the desktop to lock, looks for proof, and climbs a ladder of ever harder
// means until there is proof or no rung is left. It also closes EHR clients.
//
// Failure rules: asking is not locking, so a rung that was asked and not proved has failed. What cannot be read is no
// proof. Every call to another program is bounded in time; nothing here waits for a session's own programs. The last rung
// ends in less access. A process is acted on only by pidfd or handle, after its user and executable were compared.
//
// What proof is worth: ProofEnded and ProofGreeter are the system's word, and on Windows all proof is. On Linux ProofLocker
// says that a known, root-owned program, with nothing but root-owned code mapped into it, holds screen and keyboard; a user
// who can write into the memory of his own programs by a debugger can still hollow such a program out. ProofClaim is the
// session's own word.
package lock

import (
	"time"

	"stepaway/policy"
)

// Goal is where the ladder leads.
type Goal string

const (
	Desktop    Goal = "lock"       // the desktop is locked; a session without one is ended
	SignOut    Goal = "sign-out"   // the session is ended
	Disconnect Goal = "disconnect" // the greeter is in front; without one, locked
)

// Want says what counts as secured and which means are allowed.
type Want struct {
	Proof     policy.Proof // the least that counts; none and unknown words mean ProofLocker
	Fallback  []string     // command of a locker, absolute path first; empty: none
	Terminate bool         // whether a lock that fails may end the session
	Goal      Goal
}

// Rung is one means of the ladder.
type Rung string

const (
	Already   Rung = "already"   // nothing had to be asked
	Logind    Rung = "logind"    // logind tells the session to lock itself
	Own       Rung = "desktop"   // the desktop's screen saver is told by its own name
	Fallback  Rung = "fallback"  // the locker named by policy is started
	Greeter   Rung = "greeter"   // the seat is switched to the greeter
	Terminate Rung = "terminate" // the session is ended

	Workstation Rung = "workstation" // Windows: the session locks itself
	Away        Rung = "disconnect"  // Windows: the session is disconnected, the logon screen is in front
)

// Code says in one word why a rung did not lead to proof; empty if it did.
type Code string

const (
	Unavailable Code = "unavailable" // there is no such means here
	Denied      Code = "refused"     // it was asked and said no
	Timeout     Code = "timeout"     // it did not answer in time
	Unproved    Code = "unproved"    // it was asked, and no proof came
	Distrusted  Code = "distrusted"  // the fallback's file could be written by others than root
	Exited      Code = "exited"      // the fallback ended at once
)

// Step tells how one rung went.
type Step struct {
	Rung  Rung
	At    time.Duration // boot time at which the rung was left
	Proof policy.Proof  // what was proved then
	Code  Code
}

// Release says how a proved lock ended.
type Release string

const (
	Opened    Release = "opened"  // the locker ended by itself and reports success: the password was right
	Killed    Release = "killed"  // the locker was ended by a signal, reports failure, or no longer holds the screen
	Unwatched Release = "unknown" // it is gone; nobody saw how
	Ended     Release = "ended"   // the session is gone
)

// ClientStep tells of one EHR client.
type ClientStep struct {
	Client string // its name in the policy
	Code   ClientCode
	Count  int  // processes; entries of its caches; selections of the clipboard
	Busy   bool // its busy file has put this off
}

// ClientCode says what happened to a client's processes.
type ClientCode string

const (
	ClientAsked  ClientCode = "close"  // asked to close
	ClientClosed ClientCode = "closed" // closed after being asked
	ClientEnded  ClientCode = "ended"  // ended by force
	ClientFailed ClientCode = "failed" // still there after every round

	BusyUntrusted    ClientCode = "busy-untrusted"    // its busy file may be another's than root's: it put nothing off
	CacheCleared     ClientCode = "cache-cleared"     // entries of its caches were deleted
	CacheLeft        ClientCode = "cache"             // entries of its caches, or whole ones, could not be deleted
	ClipboardCleared ClientCode = "clipboard-cleared" // nothing is on the clipboard now
	ClipboardLeft    ClientCode = "clipboard"         // what is on the clipboard stays, or comes back
)
