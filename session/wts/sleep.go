package wts

import "time"

// Sleep is one word of the power manager: the machine is about to sleep, or is back.
type Sleep struct {
	Going bool
	Ready func() // lets the machine sleep, or says that the word was heard; may be called more than once, never blocks
}

// heldFor is how long sleep is held up at most. By the documentation of PBT_APMSUSPEND a program has about two seconds.
const heldFor = 1800 * time.Millisecond

// Values of power broadcasts, as in "Power Management Events".
const (
	pbtSuspend         = 0x4
	pbtResumeAutomatic = 0x12
)

// prepares reads a power broadcast. Of the two words for a resume the one is taken that always comes.
func prepares(event uint32) (going, known bool) {
	return event == pbtSuspend, event == pbtSuspend || event == pbtResumeAutomatic
}
