package whole

import (
	"testing"
	"time"

	"stepaway/audit"
)

// A desktop that nobody touches: warned at half of the limit, locked at the limit, proved and recorded.
func TestSessionLeftAlone(t *testing.T) {
	s := open(t, panel)
	s.run()
	warned := s.await(audit.WarningShown, 1)
	s.between("warning.shown idle_ms", warned.Facts.IdleMS, deskLimit/2, deskLimit/2+late)
	s.notified("1")
	s.shows("banner", bannerBox, ink, 50_000)
	s.locksOnTime()
	s.shows("locked", screen, locked, 900_000)
	list := s.events()
	s.follows(list, audit.AgentStart, audit.PolicyLoaded, audit.SessionStart, audit.WarningShown, audit.LockRequested, audit.LockProved)
	for _, never := range []audit.Type{audit.WarningCleared, audit.InputUnreadable, audit.TrayLost, audit.SpoolGap} {
		if n := len(only(list, never)); n > 0 {
			t.Errorf("%d %s", n, never)
		}
	}
	for _, e := range list {
		if e.Device != device && e.Device != "collector/own" {
			t.Errorf("%s is of device %q", e.Type, e.Device)
		}
	}
	s.whole()
	if err := s.agent.Stop(20 * time.Second); err != nil || s.agent.ExitCode() != 0 {
		t.Errorf("the agent ended with %d: %v", s.agent.ExitCode(), err)
	}
	stopped := s.await(audit.AgentStop, 1)
	if stopped.Facts != nil && stopped.Facts.Count != 0 {
		t.Errorf("agent.stop: %+v", stopped.Facts)
	}
}
