package wts

// Sleep is one word of the power manager: the machine is about to sleep, or is back.
type Sleep struct {
	Going bool
	Ready func() // lets the machine sleep, or says that the word was heard; may be called more than once, never blocks
}

// Values of power broadcasts, as in "Power Management Events".
const (
	pbtSuspend         = 0x4
	pbtResumeAutomatic = 0x12
)

// prepares reads a power broadcast. Of the two words for a resume the one is taken that always comes.
func prepares(event uint32) (going, known bool) {
	return event == pbtSuspend, event == pbtSuspend || event == pbtResumeAutomatic
}
