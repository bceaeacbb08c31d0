package whole

import (
	"os"
	"testing"

	"stepaway/audit"
)

// A link that cannot be opened safely keeps nobody from being locked; what happened is told once it can.
func TestSessionWithoutLinkIsLocked(t *testing.T) {
	s := open(t, bus)
	run := s.path("state/run")
	if err := os.MkdirAll(run, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(run, 0o777); err != nil { // any user could put a socket of his own there
		t.Fatal(err)
	}
	s.run()
	s.shows("locked", screen, locked, 900_000)
	if err := os.Chmod(run, 0o755); err != nil {
		t.Fatal(err)
	}
	proved := s.await(audit.LockProved, 1)
	s.onTime(s.await(audit.LockRequested, 1), proved)
	s.whole()
}
