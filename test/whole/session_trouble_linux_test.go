package whole

import (
	"context"
	"image"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/link"
	"stepaway/picture"
	"stepaway/test/rig"
	"stepaway/x11"
)

// "Lock now" in the tray's menu, clicked on a real panel.
func TestSessionLockNow(t *testing.T) {
	s := open(t, panel)
	s.end = 10 * time.Minute
	s.run()
	s.phase(link.Active)
	at := s.shows("icon", panelBox, picture.Open.Draw(64).RGBAAt(16, 55), 20)
	var menu image.Rectangle
	rig.WaitFor(t, "the tray's menu", func() bool {
		s.click(at)
		for range 20 {
			if menu = s.window("Wrapper-2.0"); menu.Dy() > 80 {
				return true
			}
			time.Sleep(100 * time.Millisecond)
		}
		s.xdo("key", "Escape")
		return false
	})
	s.shot("menu")
	s.click(image.Pt(menu.Min.X+60, menu.Min.Y+42))
	requested, proved := s.await(audit.LockRequested, 1), s.await(audit.LockProved, 1)
	if requested.Reason != audit.Manual {
		t.Errorf("requested for reason %q, want manual", requested.Reason)
	}
	s.between("lock.requested idle_ms", requested.Facts.IdleMS, 0, late)
	s.between("lock.requested late_ms", requested.Facts.LateMS, 0, late)
	if took := proved.BootMS - requested.BootMS; took > provedIn.Milliseconds() {
		t.Errorf("proved %d ms after it was requested", took)
	}
	s.shows("locked", screen, locked, 900_000)
	s.whole()
}

func (s *site) click(at image.Point) {
	s.t.Helper()
	s.xdo("mousemove", itoa(at.X), itoa(at.Y), "sleep", "0.3", "click", "1")
}

// attackGrab takes keyboard and pointer, as a program of the user's can, so that no locker gets them.
func attackGrab(t *testing.T, display string) *x11.Conn {
	t.Helper()
	c, err := x11.Dial(context.Background(), display, x11.Cookie{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	k, err := c.GrabKeyboard(c.Screen.Root)
	p, err2 := c.GrabPointer(c.Screen.Root)
	if k != x11.GrabSuccess || p != x11.GrabSuccess {
		t.Fatalf("the attack holds nothing: %d %d, %v, %v", k, p, err, err2)
	}
	return c
}

// The attack: a program holds keyboard and pointer when the lock is due. Nothing is proved while it does, and the lock
// is proved once it lets go.
func TestSessionAttackGrabOverTheDeadline(t *testing.T) {
	s := open(t, bus)
	s.run()
	s.phase(link.Warned)
	grab := attackGrab(t, s.desk.Display)
	requested := s.await(audit.LockRequested, 1)
	s.between("lock.requested late_ms", requested.Facts.LateMS, 0, late)
	failed := s.await(audit.LockFailed, 1)
	if failed.Outcome != audit.Failure || failed.Severity != audit.Alert {
		t.Errorf("lock.failed: outcome %s, severity %s", failed.Outcome, failed.Severity)
	}
	if g, _ := s.guarded(); g.State.Phase != link.Expired {
		t.Errorf("the session is %s", g.State.Phase)
	}
	if n := len(only(s.events(), audit.LockProved)); n > 0 {
		t.Fatal("a lock was proved that nothing held")
	}
	if err := grab.Close(); err != nil {
		t.Error(err)
	}
	s.await(audit.LockProved, 1)
	s.shows("locked", screen, locked, 900_000)
	s.follows(s.events(), audit.LockRequested, audit.LockEscalated, audit.LockFailed, audit.LockRequested, audit.LockProved)
	s.whole()
}

// The display dies under the agent: it says that it sees nothing, tries to lock, and ends well when it is told to.
func TestSessionDisplayGoesAway(t *testing.T) {
	s := open(t, bus)
	s.run()
	s.phase(link.Active)
	s.kill(s.server())
	unreadable := s.await(audit.InputUnreadable, 1)
	if unreadable.Outcome != audit.Failure || unreadable.Severity != audit.Alert {
		t.Errorf("input.unreadable: outcome %s, severity %s", unreadable.Outcome, unreadable.Severity)
	}
	requested := s.await(audit.LockRequested, 1)
	s.between("lock.requested late_ms", requested.Facts.LateMS, 0, late)
	s.await(audit.LockFailed, 1)
	if g, ok := s.guarded(); !ok || g.Readable {
		t.Errorf("status: %v, %+v", ok, g)
	}
	if err := s.agent.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := s.ended(s.agent); code != 0 {
		t.Errorf("the agent ended with %d", code)
	}
	if out := log(s.agent); strings.Contains(out, "panic") || strings.Contains(out, "goroutine ") {
		t.Errorf("the agent crashed:\n%s", out)
	}
	s.await(audit.AgentStop, 1)
	s.whole()
}

// server is the process of the desktop's X server.
func (s *site) server() (pid int) {
	s.t.Helper()
	c, err := x11.Dial(context.Background(), s.desk.Display, x11.Cookie{})
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	if pid, _, err = c.Server(); err != nil {
		s.t.Fatal(err)
	}
	return pid
}

// kill ends a process that the test has started, at once.
func (s *site) kill(pid int) {
	s.t.Helper()
	p, err := os.FindProcess(pid)
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// An agent that is killed and comes back holds the session to the deadline of before.
func TestSessionAgentKilled(t *testing.T) {
	s := open(t, bus)
	s.run()
	began := s.await(audit.SessionStart, 1)
	s.phase(link.Warned)
	s.await(audit.WarningShown, 1)
	first := s.agent
	s.kill(first.PID())
	s.ended(first)
	s.run()
	recovered := s.await(audit.AgentRecovered, 1)
	if recovered.Facts == nil || string(recovered.Facts.Ref) != began.Run {
		t.Errorf("agent.recovered names %+v, want run %s", recovered.Facts, began.Run)
	}
	requested := s.await(audit.LockRequested, 1)
	if took := time.Duration(requested.BootMS-began.BootMS) * time.Millisecond; took > deskLimit+2*late {
		t.Errorf("asked to lock %v after the session was first seen, want %v: the restart has put it off", took, deskLimit)
	}
	s.between("lock.requested idle_ms", requested.Facts.IdleMS, deskLimit, deskLimit+2*late)
	s.await(audit.LockProved, 1)
	s.whole()
}

// A second agent says that there is one already, and leaves that one alone.
func TestSessionSecondAgent(t *testing.T) {
	s := open(t, bare)
	s.run()
	s.phase(link.Active)
	_, bad, code := s.tool("stepaway-agent", "run", "--session", "--policy", s.path("policy.yaml"), "--state", s.path("state"))
	if lines := strings.Split(strings.TrimSpace(bad), "\n"); code != 1 || !strings.Contains(lines[len(lines)-1], "another agent answers") {
		t.Errorf("the second agent: exit %d: %s", code, bad)
	}
	s.locksOnTime()
	if n := len(only(s.events(), audit.AgentStart)); n != 1 {
		t.Errorf("%d agents have started", n)
	}
	s.whole()
}
