package notify

import (
	"math"
	"time"

	"stepaway/words"
)

// Show says how loudly to warn, least first.
type Show uint8

// The ways to warn.
const (
	Nothing Show = iota
	Quiet        // a notification
	Loud         // a banner on every monitor as well
)

// Never is the instant of something that does not come by itself.
const Never = time.Duration(math.MaxInt64)

// LoudTime is for how long before the deadline the banner is shown.
const LoudTime = 30 * time.Second

// Step is what to show at one moment.
type Step struct {
	Show    Show
	Seconds int           // left, rounded up
	Next    time.Duration // boot time at which the step changes, or Never
}

// Plan says what to show at now; all three are boot times. The count goes on by 15 s, by 5 s in the last minute and
// by the second in the last half, always at whole steps, so that it wakes the machine as seldom as can be.
func Plan(now, warnAt, deadline time.Duration) Step {
	switch {
	case now >= deadline:
		return Step{Next: Never}
	case now < warnAt:
		return Step{Seconds: words.WholeSeconds(deadline - now), Next: min(warnAt, deadline)}
	}
	left := words.WholeSeconds(deadline - now)
	every := 1
	switch {
	case left > 60:
		every = 15
	case left > 30:
		every = 5
	}
	s := Step{Show: Quiet, Seconds: left}
	if left <= int(LoudTime/time.Second) {
		s.Show = Loud
	}
	s.Next = deadline - time.Duration((left-1)/every*every)*time.Second
	return s
}
