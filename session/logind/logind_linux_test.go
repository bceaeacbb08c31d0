package logind

import (
	"context"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"stepaway/clock"
	"stepaway/proc"
	"stepaway/session"
	"stepaway/test/rig"
)

func open(t *testing.T) *Logind {
	t.Helper()
	l, err := Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func find(t *testing.T, l *Logind, id string) (session.Session, bool) {
	t.Helper()
	list, err := l.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(s session.Session) bool { return s.ID == id })
	if i < 0 {
		return session.Session{}, false
	}
	return list[i], true
}

func drain(l *Logind) {
	for {
		select {
		case <-l.Changed():
		case <-time.After(200 * time.Millisecond):
			return
		}
	}
}

func hinted(t *testing.T, l *Logind, what string) {
	t.Helper()
	select {
	case <-l.Changed():
	case <-time.After(rig.Patience):
		t.Errorf("no hint of %s", what)
	}
	drain(l)
}

func TestSnapshotOfADesktop(t *testing.T) {
	rig.InContainer(t, func(t *testing.T, c *rig.Container) {
		l := open(t)
		id := c.Session("nurse", rig.Desktop(rig.Display), "-E", "XDG_SEAT=seat0", "-E", "XDG_SESSION_TYPE=x11")
		hinted(t, l, "a new session")
		c.WaitFor("the display", func() bool { s, _ := find(t, l, id); return s.Display != "" })
		c.WaitFor("the groups", func() bool { s, _ := find(t, l, id); return slices.Contains(s.Groups, "clinicians") })
		s, _ := find(t, l, id)
		leader, err := proc.Read(s.Leader)
		if err != nil {
			t.Fatal(err)
		}
		s.Groups = nil
		if want := (session.Session{ID: id, UID: 1000, User: "nurse", Kind: session.X11, Seat: "seat0", Active: true,
			Display: rig.Display, Leader: leader.PID, Since: leader.Start,
			Scope: "/user.slice/user-1000.slice/session-" + id + ".scope"}); !equal(s, want) {
			t.Errorf("got  %+v\nwant %+v", s, want)
		}
		c.Must("loginctl", "terminate-session", id)
		hinted(t, l, "the end of a session")
		c.WaitFor("the end of the session", func() bool { _, there := find(t, l, id); return !there })
	})
}

func equal(a, b session.Session) bool {
	a.Groups, b.Groups = nil, nil
	return a.ID == b.ID && a.UID == b.UID && a.User == b.User && a.Kind == b.Kind && a.Seat == b.Seat &&
		a.Active == b.Active && a.Closing == b.Closing && a.Display == b.Display && a.TTY == b.TTY &&
		a.Leader == b.Leader && a.Since == b.Since && a.Scope == b.Scope && a.LockedHint == b.LockedHint
}

func TestEverySessionIsSeenAndGreetersAreNot(t *testing.T) {
	rig.InContainer(t, func(t *testing.T, c *rig.Container) {
		l := open(t)
		sleep := "#!/bin/sh\nexec sleep infinity\n"
		first := c.Session("nurse", sleep)
		second := c.Session("doctor", sleep)
		greeter := c.Session("doctor", sleep, "-E", "XDG_SESSION_CLASS=greeter", "-E", "XDG_SEAT=seat0")
		remote := c.Session("nurse", sleep, "-E", "XDG_SESSION_TYPE=tty")
		c.Must("loginctl", "activate", second)
		for _, want := range []struct {
			id     string
			active bool
			kind   session.Kind
		}{{first, false, session.X11}, {second, true, session.X11}, {remote, true, session.Unknown}} {
			s, ok := find(t, l, want.id)
			if !ok || s.Active != want.active || s.Kind != want.kind {
				t.Errorf("session %s: %v %+v", want.id, ok, s)
			}
		}
		if s, ok := find(t, l, greeter); ok {
			t.Errorf("the greeter is reported: %+v", s)
		}
		drain(l)
		c.Must("loginctl", "activate", first)
		hinted(t, l, "a switch")
		if s, _ := find(t, l, first); !s.Active {
			t.Error("the session switched to is not active")
		}
	})
}

func TestLockedHintIsHintedAndTypeStaysGraphical(t *testing.T) {
	rig.InContainer(t, func(t *testing.T, c *rig.Container) {
		l := open(t)
		// the user's own processes claim to be locked, and then to be a text console
		path := "/org/freedesktop/login1/session/auto"
		call := "busctl call org.freedesktop.login1 " + path + " org.freedesktop.login1.Session "
		// control lasts as long as the connection: python keeps one
		id := c.Session("nurse", `#!/bin/bash
while [ ! -e $HOME/go ]; do sleep .05; done
`+call+`SetLockedHint b true
exec sleep infinity
`)
		if s, ok := find(t, l, id); !ok || s.LockedHint {
			t.Fatalf("before: %v %+v", ok, s)
		}
		drain(l)
		c.Must("touch", "/home/nurse/go")
		hinted(t, l, "the claim")
		if s, _ := find(t, l, id); !s.LockedHint {
			t.Error("the claim is not reported")
		}
		row := listed{ID: id, UID: 1000, User: "nurse", Seat: "seat0"}
		s, _ := l.facts.session(row, properties{"Class": variant("user"), "Type": variant("tty"), "TTY": variant("tty3")})
		if s.Kind != session.X11 {
			t.Errorf("a desktop that says it is a console is of kind %s", s.Kind)
		}
	})
}

func TestUnlockIsTold(t *testing.T) {
	rig.InContainer(t, func(t *testing.T, c *rig.Container) {
		l := open(t)
		sleep := "#!/bin/sh\nexec sleep infinity\n"
		id, other := c.Session("nurse", sleep), c.Session("doctor", sleep)
		if s, ok := find(t, l, id); !ok || s.Unlocked != 0 {
			t.Fatalf("before: %v %+v", ok, s)
		}
		find(t, l, other)
		since := clock.Now()
		c.Must("loginctl", "unlock-session", id)
		c.WaitFor("the unlock", func() bool { s, _ := find(t, l, id); return s.Unlocked >= since })
		if s, _ := find(t, l, other); s.Unlocked != 0 {
			t.Errorf("the other session: %+v", s)
		}
	})
}

func TestConnectionIsMadeAgain(t *testing.T) {
	rig.InContainer(t, func(t *testing.T, c *rig.Container) {
		l := open(t)
		c.Must("systemctl", "kill", "-s", "KILL", "dbus.service")
		hinted(t, l, "a lost connection")
		c.WaitFor("a snapshot after the bus came back", func() bool {
			_, err := l.Snapshot(t.Context())
			return err == nil
		})
	})
}

func TestAHungLogindDoesNotHang(t *testing.T) {
	rig.InContainer(t, func(t *testing.T, c *rig.Container) {
		l := open(t)
		pid := c.Must("systemctl", "show", "-P", "MainPID", "systemd-logind")
		c.Must("kill", "-STOP", pid)
		done := make(chan error, 1)
		go func() { _, err := l.Snapshot(context.Background()); done <- err }()
		select {
		case err := <-done:
			if err == nil {
				t.Error("a hung logind answered")
			}
		case <-time.After(rig.Patience):
			t.Error("the snapshot hangs")
		}
	})
}

func TestOwnSession(t *testing.T) {
	t.Setenv("XDG_SESSION_ID", "c7")
	t.Setenv("DISPLAY", ":9")
	t.Setenv("WAYLAND_DISPLAY", "")
	s, err := Own()
	if err != nil || s.ID != "c7" || s.Kind != session.X11 || s.Display != ":9" || !s.Active || len(s.Groups) == 0 || s.User == "" {
		t.Errorf("%+v, %v", s, err)
	}
	t.Setenv("XDG_SESSION_ID", "")
	t.Setenv("DISPLAY", "host.example:0")
	if s, err := Own(); err != nil || s.ID != "self" || s.Display != "" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestSearchDisplayTakesOnlyALocalOneOfTheSameUser(t *testing.T) {
	for value, want := range map[string]string{":3": ":3", ":3.0": ":3.0", "evil:0": "", ":": "", ":1;reboot": "", ":123456": ""} {
		if got := display(value); got != want {
			t.Errorf("%q: %q", value, got)
		}
	}
	for value, want := range map[string]string{"/dev/pts/3": "pts/3", "tty2": "tty2", "pts/../mem": "", "../sda": "", "ttyS0": "ttyS0"} {
		if got := tty(value); got != want {
			t.Errorf("%q: %q", value, got)
		}
	}
}

func TestClassesAndSessionsThatCannotBeRead(t *testing.T) {
	f := newFacts(t.Context(), func() {})
	defer f.wait()
	row := listed{ID: "7", UID: 1000, User: "nurse"}
	for _, c := range []struct {
		p    properties
		want bool
	}{
		{properties{"Class": variant("background"), "Type": variant("unspecified")}, false}, // cron
		{properties{"Class": variant("greeter"), "Type": variant("x11")}, false},
		{properties{"Class": variant("manager")}, false},
		{properties{"Class": variant("background"), "Type": variant("tty"), "TTY": variant("pts/3")}, true},
		{properties{"Class": variant("background-light"), "Type": variant("x11")}, true},
		{properties{"Class": variant("user-light"), "Type": variant("tty"), "TTY": variant("pts/3")}, true},
	} {
		if _, ok := newFacts(t.Context(), func() {}).session(row, c.p); ok != c.want {
			t.Errorf("%v: %v", c.p, ok)
		}
	}
	was, _ := f.session(row, properties{"Class": variant("user"), "Type": variant("tty"), "TTY": variant("pts/3"), "Seat": variant("")})
	if again, ok := f.session(row, nil); !ok || !equal(was, again) || again.TTY != "pts/3" {
		t.Errorf("read: %+v, then not: %+v", was, again)
	}
	rows := []listed{{ID: "1"}, {ID: "2", Seat: "seat0"}, {ID: "3"}, {ID: "4", Seat: "seat1"}}
	slices.SortStableFunc(rows, seatsFirst)
	if rows[0].ID+rows[1].ID+rows[2].ID != "241" {
		t.Errorf("%+v", rows)
	}
}

func TestGroupsOfRoot(t *testing.T) {
	if _, err := exec.LookPath("getent"); err != nil {
		t.Fatal("getent is not installed: run `make deps`")
	}
	told := make(chan struct{}, 8)
	g := newGroups(t.Context(), func() { told <- struct{}{} })
	defer g.wait()
	first := g.of(session.Session{UID: 0, User: "root"})
	if !slices.Contains(first, "root") {
		t.Errorf("at first sight: %v", first)
	}
	d := &directory{ctx: t.Context()}
	if name := d.groupName(0); name != "root" {
		t.Errorf("group 0 is %q", name)
	}
	if out, r := d.get("initgroups", "-s"); out != "" || r != silent || d.mute {
		t.Errorf("an account named like an option: %q, %v", out, r)
	}
	if s := plain("a\x1b]0;b\n" + strconv.Itoa(1)); s != "a]0;b1" {
		t.Errorf("%q", s)
	}
}

func variant(v any) dbus.Variant { return dbus.MakeVariant(v) }
