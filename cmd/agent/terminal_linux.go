package main

import (
	"os"
	"time"

	"stepaway/notify"
	"stepaway/policy"
	"stepaway/session"
	"stepaway/words"
)

// warnTerminal writes the warning on a session's terminal. A terminal that does not take it is left alone.
func (a *agent) warnTerminal(s session.Session, left time.Duration, _ policy.Action) {
	if s.TTY == "" {
		return
	}
	w := words.Pick(os.Getenv)
	line := w.Text(words.TerminalWarning, "left", w.Countdown(left))
	a.work.Go(func() {
		if err := notify.WriteTTY(s.TTY, s.UID, line); err != nil {
			a.log.Warn("terminal not warned", "session", s.ID, "error", err)
		}
	})
}
