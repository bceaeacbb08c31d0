package whole

import (
	"testing"

	"stepaway/audit"
)

// A locker that takes its time to come up: nothing is proved before it holds the screen, and then it is.
func TestSessionSlowLocker(t *testing.T) {
	s := open(t, bus)
	s.locker = `[/usr/bin/dash, -c, "sleep 4; exec /usr/bin/i3lock -n -c 204060"]`
	s.run()
	proved, requested := s.await(audit.LockProved, 1), s.await(audit.LockRequested, 1)
	s.between("lock.requested late_ms", requested.Facts.LateMS, 0, late)
	if took := proved.BootMS - requested.BootMS; took < 4000 {
		t.Errorf("proved after %d ms, before the locker could be there", took)
	}
	s.shows("locked", screen, locked, 900_000)
	s.follows(s.events(), audit.LockRequested, audit.LockFailed, audit.LockProved)
	s.whole()
}
