package tray

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"stepaway/link"
	"stepaway/picture"
	"stepaway/words"
)

var en = words.In(words.English)

func state(p link.Phase) link.State {
	return link.State{Session: "c1", Phase: p, WarnMS: 600_000, DeadlineMS: 900_000, LimitMS: 900_000, WarningMS: 300_000,
		Action: "lock", Source: "evdev", Courier: "up"}
}

func TestStatus(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		name      string
		phase     link.Phase
		connected bool
		now       time.Duration
		icon      picture.Icon
		line      string
		title     string
		next      time.Duration
		canLock   bool
	}{
		{"no word yet", "", true, 0, picture.Crossed, "Not connected: this icon cannot show the time left", "", Never, false},
		{"connection lost", link.Active, false, 0, picture.Crossed, "Not connected: this icon cannot show the time left", "", Never, false},
		{"lost while warned", link.Warned, false, 700 * s, picture.Crossed, "Not connected: this icon cannot show the time left", "", Never, false},
		{"begin", link.Active, true, 0, picture.Open, "Time left: 15 minutes", "", 30*s + 1, true},
		{"active", link.Active, true, 180 * s, picture.Open, "Time left: 12 minutes", "", 210*s + 1, true},
		{"warned", link.Warned, true, 630 * s, picture.Warning, "Time left: 5 minutes", "5 minutes", 630*s + 1, true},
		{"last minute", link.Warned, true, 845 * s, picture.Warning, "Time left: 55 seconds", "55 seconds", 846 * s, true},
		{"last second", link.Warned, true, 899*s + 500*time.Millisecond, picture.Warning, "Time left: 1 second", "1 second", 900 * s, true},
		{"deadline", link.Warned, true, 900 * s, picture.Warning, "Time left: 0 seconds", "0 seconds", Never, true},
		{"expired", link.Expired, true, 901 * s, picture.Urgent, "Time is up: securing this session", "", Never, false},
		{"secured", link.Secured, true, 902 * s, picture.Closed, "This session is secured", "", Never, false},
	} {
		m := View(state(c.phase), c.connected, c.now, en, "1.0")
		if m.Icon != c.icon || m.Tooltip != c.line || m.Title != c.title || m.Next != c.next {
			t.Errorf("%s: icon %d, %q, %q, next %v", c.name, m.Icon, m.Tooltip, m.Title, m.Next)
		}
		if m.Items[0].Text != c.line || m.Items[0].Enabled {
			t.Errorf("%s: first item %+v", c.name, m.Items[0])
		}
		if lock := m.Items[2]; lock.ID != LockNow || lock.Text != "Lock now" || lock.Enabled != c.canLock {
			t.Errorf("%s: lock item %+v", c.name, lock)
		}
	}
}

// lines are all texts of a menu.
func lines(items []Item) (out []string) {
	for _, i := range items {
		out = append(append(out, i.Text), lines(i.Children)...)
	}
	return out
}

func TestLines(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*link.State)
		want   []string
	}{
		{"defaults", func(*link.State) {}, []string{"Limit: 15 minutes without use", "Warning: 5 minutes before",
			"Set for everyone on this computer", "Then: the screen locks, programs stay open",
			"Use is seen at: keyboard, mouse and touch", "Any key, click or touch starts the limit anew",
			"Never what you type, see or open", "Records reach your site's collector", "Stepaway 1.0"}},
		{"role", func(s *link.State) { s.Role = "clinical\n\x1b[2J" }, []string{"Set for your role: clinical[2J"}},
		{"clients", func(s *link.State) { s.Action, s.Clients = "close-clients", "Example EHR" },
			[]string{"Then: it closes Example EHR; the desktop stays open"}},
		{"clients unnamed", func(s *link.State) { s.Action = "close-clients-and-lock" },
			[]string{"Then: it closes the patient record programs and locks the screen"}},
		{"sign-out", func(s *link.State) { s.Action = "sign-out" }, []string{"Then: you are signed out, all programs close"}},
		{"disconnect", func(s *link.State) { s.Action = "disconnect" }, []string{"Then: the session disconnects, programs stay open"}},
		{"no source", func(s *link.State) { s.Source = "none" }, []string{"Use cannot be seen here: the limit runs on"}},
		{"x11", func(s *link.State) { s.Source = "x11" }, []string{"Use is seen at: this desktop"}},
		{"windows", func(s *link.State) { s.Source = "probe" }, []string{"Use is seen at: keyboard, mouse and touch"}},
		{"new source", func(s *link.State) { s.Source = "badge" }, []string{"Use is seen at: badge"}},
		{"collector down", func(s *link.State) { s.Courier, s.Unsent = "down", 7 }, []string{"Records waiting to be sent: 7"}},
		{"no collector", func(s *link.State) { s.Courier = "none" }, []string{"Records stay on this computer"}},
	} {
		s := state(link.Active)
		c.change(&s)
		got := lines(View(s, true, 0, en, "1.0").Items)
		for _, want := range c.want {
			if !slices.Contains(got, want) {
				t.Errorf("%s: no line %q in %q", c.name, want, got)
			}
		}
	}
}

// The adapter makes the items once: a view must never have other ones.
func TestMenuKeepsItsShape(t *testing.T) {
	shape := func(m Menu) (out []int) {
		for _, i := range m.Items {
			out = append(out, int(i.ID), len(i.Children))
		}
		return out
	}
	want := shape(View(link.State{}, false, 0, en, ""))
	for _, p := range []link.Phase{"", link.Active, link.Warned, link.Expired, link.Secured, "melted"} {
		for _, connected := range []bool{false, true} {
			for _, source := range []string{"", "none", "evdev"} {
				s := state(p)
				s.Source = source
				if got := shape(View(s, connected, 5, en, "1")); !slices.Equal(got, want) {
					t.Errorf("%s %v %s: shape %v, want %v", p, connected, source, got, want)
				}
			}
		}
	}
}

// Idle, the menu changes once a minute; it must never ask to be drawn at once again.
func TestWakeUps(t *testing.T) {
	s, now, n := state(link.Active), time.Duration(3), 0
	for now < 840*time.Second {
		m := View(s, true, now, en, "")
		if m.Next <= now {
			t.Fatalf("at %v next is %v", now, m.Next)
		}
		now = m.Next
		n++
	}
	if n > 15 {
		t.Errorf("%d changes in 14 minutes", n)
	}
}

func TestHostileNumbers(t *testing.T) {
	for _, ms := range []int64{math.MinInt64, -1, 0, 1, math.MaxInt64} {
		s := state(link.Active)
		s.DeadlineMS, s.LimitMS, s.WarningMS = ms, ms, ms
		m := View(s, true, time.Hour, en, "")
		if m.Next < time.Hour || strings.Contains(m.Tooltip, "-") {
			t.Errorf("%d: next %v, %q", ms, m.Next, m.Tooltip)
		}
	}
}
