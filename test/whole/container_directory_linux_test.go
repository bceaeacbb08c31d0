package whole

import (
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/clock"
)

const (
	users     = "/var/lib/extrausers" // of which getent tells, and a static program reads nothing
	usersAway = "/var/lib/extrausers.away"
	stay      = "#!/bin/sh\nexec sleep infinity\n"
)

// limited waits until the session's limit is the given one.
func (m *machine) limited(id string, want time.Duration) {
	m.t.Helper()
	m.patiently("session "+id+" to have a limit of "+want.String(), func() bool {
		s, ok := m.guarded(id)
		return ok && s.State.LimitMS == want.Milliseconds()
	})
}

// A role comes from a directory's group. While the directory is away, the groups that the user had last stand.
func TestMachineRoleHoldsWhileTheDirectoryIsAway(t *testing.T) {
	m := install(t, calm+"roles:\n  - {name: ward, groups: [wards], limit: 4m}\n")
	m.Write(users+"/passwd", "dirnurse:x:5000:5000::/home/dirnurse:/bin/sh\n", 0o644)
	m.Write(users+"/group", "dirnurse:x:5000:\nwards:x:6001:dirnurse\n", 0o644)
	m.Write(users+"/shadow", "dirnurse:*:19000:0:99999:7:::\n", 0o640)
	m.Write("/etc/nsswitch.conf", "passwd: files extrausers\ngroup: files extrausers\nshadow: files extrausers\n", 0o644)
	m.Must("install", "-d", "-o", "5000", "-g", "5000", "/home/dirnurse")
	id := m.Session("dirnurse", stay, "-E", "XDG_SEAT=seat0", "-E", "XDG_SESSION_TYPE=x11", "-E", "DISPLAY=:9")
	m.limited(id, 4*time.Minute)
	m.step("the role of the directory's group")

	m.Must("mv", users, usersAway)
	since := clock.Now()
	for range 2 {
		m.Must("systemctl", "restart", agent)
		e := m.await(since, audit.SessionStart, "session="+id)
		if e.Session.Role != "ward" {
			t.Errorf("the first that is known of the session: %s", encode(e))
		}
		m.pause(3 * time.Second) // the name service has been asked meanwhile
		if s, _ := m.guarded(id); s.State.LimitMS != (4 * time.Minute).Milliseconds() {
			t.Errorf("without the directory the limit is %d ms", s.State.LimitMS)
		}
		since = clock.Now()
	}
	if out := m.Must("stat", "-c", "%a %u", "/var/lib/stepaway/agent/groups.json"); out != "600 0" {
		t.Errorf("mode and owner of the groups that are kept: %s", out)
	}
	m.step("a new start without the directory")

	m.Must("loginctl", "terminate-session", id)
	m.Must("mv", usersAway, users)
	m.Write(users+"/group", "dirnurse:x:5000:\nwards:x:6001:\n", 0o644)
	id = m.Session("dirnurse", stay, "-E", "XDG_SEAT=seat0", "-E", "XDG_SESSION_TYPE=x11", "-E", "DISPLAY=:9")
	m.Must("systemctl", "restart", agent) // asks at once, not in five minutes
	m.limited(id, 10*time.Minute)
	m.step("left the group")
	m.delivered()
	m.verified()
}
