// Package notify shows the warning: as a notification of the desktop, as a banner on every monitor in the
// last seconds, and as a line on a terminal; on Windows as a card of its own, with everything else dark at the end.
//
// Failure rules: nothing here decides anything. Who answers "continue" only hides the notification; a deadline
// is moved by input that the enforcer sees elsewhere. A notification service that is missing, hangs or lies
// delays nothing: no call waits longer than two seconds, none is made while another is unanswered, and the
// banner is shown in its place. The banner cannot be hidden by anybody but the enforcer, takes neither focus
// nor input, and is gone at the deadline so that it never covers a lock screen.
package notify

import "time"

// Message is what a warning shows at one moment.
type Message struct {
	Title  string // with the time left
	What   string // will happen
	How    string // to go on
	Button string // for the action that hides the notification
	Left   time.Duration
}

// Surface is a place where a warning appears. Both calls return at once and may come from one goroutine only.
type Surface interface {
	Show(Message)
	Hide()
}

// Report is what a Surface tells of itself.
type Report struct {
	Continued bool  // the person, or something that plays the person, wants the warning hidden
	Err       error // the surface cannot be used; nil: it can be
}

// latest is a mailbox for one value: a newer one takes the place of one not yet taken.
type latest[T any] chan T

func newLatest[T any]() latest[T] { return make(latest[T], 1) }

// put never blocks. Only one goroutine may put.
func (l latest[T]) put(v T) {
	select {
	case <-l:
	default:
	}
	l <- v
}
