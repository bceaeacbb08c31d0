package whole

import (
	"context"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/clock"
	"stepaway/link"
	"stepaway/test/rig"
)

// Two users share a seat: each has a deadline, also the one who is not in front.
func TestMachineTwoUsersOnOneSeat(t *testing.T) {
	m := install(t, calm)
	nurse := m.desktop(rig.ObeysLock)
	doctor := m.Session("doctor", rig.Desktop(":6", `xss-lock -l -- i3lock -n &`), "-E", "XDG_SEAT=seat0",
		"-E", "XDG_SESSION_TYPE=x11", "-E", "DISPLAY=:6")
	m.WaitFor("the desktop of doctor", func() bool {
		_, err := m.Run(context.Background(), "test", "-e", "/home/doctor/desktop-is-up")
		return err == nil
	})
	m.Must("loginctl", "activate", doctor)
	m.await(0, audit.SessionStart, "session="+doctor, "user=doctor")
	since := clock.Now()
	m.Must("loginctl", "activate", nurse)
	m.await(since, audit.SessionSwitch, "session="+nurse, "code=active")
	m.await(since, audit.SessionSwitch, "session="+doctor, "code=inactive")
	m.WaitFor("doctor's input to be readable", func() bool { // what comes before is not counted
		s, ok := m.guarded(doctor)
		return ok && s.Readable
	})
	m.touch()
	m.x = xSession{"doctor", ":6"}
	last := m.under(brisk)
	m.x = xSession{"nurse", rig.Display}
	m.patiently("the inactive session to be locked", func() bool {
		m.touch() // nurse goes on working
		s, _ := m.guarded(doctor)
		return s.State.Phase == link.Secured
	})
	m.onTime(last, limit, audit.LockRequested, "session="+doctor, "user=doctor", "reason=idle")
	m.await(last.to, audit.LockProved, "session="+doctor, "proof=locker")
	m.none(last.from, audit.LockRequested, "session="+nurse)
	last = m.touch()
	m.onTime(last, limit, audit.LockRequested, "session="+nurse, "user=nurse")
	m.await(last.to, audit.LockProved, "session="+nurse, "proof=locker")
	m.delivered()
	m.verified()
}

const clients = `limit: 8s
warning: 2s
clients:
  - {name: Polite, paths: [/opt/ehr/polite], at_deadline: close, grace: 10s}
  - {name: Window, paths: [/opt/ehr/window], at_deadline: close, grace: 10s}
  - {name: Stubborn, paths: [/opt/ehr/stubborn], at_deadline: close, grace: 2s}
`

// EHR clients are asked, then ended; nobody else's programs are touched.
func TestMachineClientsAreClosed(t *testing.T) {
	const soon = 8 * time.Second
	m := install(t, calm)
	m.Must("sh", "-c", "mkdir /opt/ehr && cp /usr/bin/sleep /opt/ehr/polite && cp /usr/bin/xmessage /opt/ehr/window && cp /bin/bash /opt/ehr/stubborn")
	run := `/opt/ehr/polite 1000 & /opt/ehr/window record & /opt/ehr/stubborn -c 'trap "" TERM; while :; do sleep 1; done' &`
	id := m.desktop(rig.When("one", run), rig.When("two", run), "sleep 1000 &", rig.ObeysLock)
	m.Must("systemd-run", "-q", "--unit=other", "-p", "User=doctor", "/opt/ehr/polite", "1000")
	running := func(user string) (n int) {
		for _, p := range []string{"polite", "window", "stubborn"} {
			n += len(m.find(user, "/opt/ehr/"+p))
		}
		return n
	}
	open := func(cue string) {
		t.Helper()
		m.Do("nurse", cue)
		m.WaitFor("the clients", func() bool { return running("nurse") == 3 })
	}
	closed := func(since time.Duration) {
		t.Helper()
		m.await(since, audit.ClientClose, "client=Polite", "session="+id, "count=1", "reason=idle")
		m.await(since, audit.ClientClosed, "client=Polite", "count=1")
		m.await(since, audit.ClientClosed, "client=Window", "count=1")
		m.await(since, audit.ClientClose, "client=Stubborn")
		m.await(since, audit.ClientEnded, "client=Stubborn", "count=1", "severity=warning")
		m.none(since, audit.ClientEnded, "client=Polite")
		m.none(since, audit.ClientEnded, "client=Window")
		m.none(since, audit.ClientFailed)
		if n := running("nurse"); n != 0 {
			t.Errorf("%d clients still run", n)
		}
		if len(m.find("doctor", "/opt/ehr/polite")) != 1 {
			t.Error("another user's client was closed")
		}
		if len(m.find("nurse", "/usr/bin/sleep")) == 0 {
			t.Error("a program that policy does not name was ended")
		}
	}

	open("one")
	last := m.under("action: close-clients\n" + clients)
	e := m.await(last.to, audit.ClientClose, "client=Polite")
	if early, late := last.from+soon-scheduler-at(e), at(e)-last.to-soon-promptly; early > 0 || late > 0 {
		t.Errorf("closed %v after the last input", at(e)-last.from)
	}
	closed(last.to)
	m.phase(id, link.Secured)
	m.none(last.to, audit.LockRequested)
	since := clock.Now()
	m.pause(soon + 2*time.Second) // an untouched kiosk is not secured over and over
	m.delivered()
	m.none(since, audit.ClientClose)
	m.none(since, audit.ClientClosed)
	m.step("clients closed, once")

	last = m.touch()
	m.await(last.from, audit.UnlockSeen, "session="+id, "code=open")
	m.rule(calm)
	open("two")
	last = m.under("action: close-clients-and-lock\n" + clients)
	m.onTime(last, soon, audit.LockRequested, "session="+id)
	m.await(last.to, audit.LockProved, "session="+id, "proof=locker")
	closed(last.to)
	m.delivered()
	m.verified()
}
