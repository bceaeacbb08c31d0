// Package tray is what the icon and its menu show, as a function of what the enforcer says.
//
// Failure rules: without word from the enforcer nothing is claimed: the icon is crossed out and there is no time.
// What comes over the link is text to show and never a command. The package is pure; cmd/tray puts it on the screen.
package tray

import (
	"math"
	"strconv"
	"time"

	"stepaway/link"
	"stepaway/picture"
	"stepaway/words"
)

// ID names an item of the menu.
type ID uint8

// The items that mean more than their text.
const (
	Line      ID = iota // only text
	TimeLeft            // the first line
	LockNow             // asks for a lock when clicked
	Separator           // a line across
)

// Item is one item of the menu.
type Item struct {
	ID       ID
	Text     string // empty: not shown
	Enabled  bool
	Children []Item
}

// Menu is all that the tray shows. Its items are always the same in number and order.
type Menu struct {
	Icon    picture.Icon
	Title   string // beside the icon, where the desktop has room for it; empty unless warned
	Tooltip string
	Items   []Item
	Next    time.Duration // boot time at which the menu changes by itself, or Never
}

// Never is the instant of something that does not come by itself.
const Never = time.Duration(math.MaxInt64)

// View is the menu at the boot time now. connected tells whether s is still what the enforcer says; version is the
// tray's own.
func View(s link.State, connected bool, now time.Duration, w words.Catalogue, version string) Menu {
	if s.Phase == "" {
		connected = false
	}
	m := status(s, connected, now, w)
	canLock := connected && (s.Phase == link.Active || s.Phase == link.Warned)
	m.Items = []Item{
		{ID: TimeLeft, Text: m.Tooltip},
		{ID: Separator},
		{ID: LockNow, Text: w.Text(words.LockNow), Enabled: canLock},
		{ID: Separator},
		{Text: w.Text(words.Why), Enabled: connected, Children: why(s, w)},
		{Text: w.Text(words.Recorded), Enabled: true, Children: recorded(s, connected, w)},
		{Text: w.Text(words.About), Enabled: true, Children: texts(
			w.Text(words.AboutVersion, "version", version), w.Text(words.AboutWhat))},
	}
	return m
}

// status is the icon, the first line and when they change.
func status(s link.State, connected bool, now time.Duration, w words.Catalogue) Menu {
	switch {
	case !connected:
		return Menu{Icon: picture.Crossed, Tooltip: w.Text(words.NotConnected), Next: Never}
	case s.Phase == link.Expired:
		return Menu{Icon: picture.Urgent, Tooltip: w.Text(words.TimeUp), Next: Never}
	case s.Phase == link.Secured:
		return Menu{Icon: picture.Closed, Tooltip: w.Text(words.NowSecured), Next: Never}
	}
	left := max(0, instant(s.DeadlineMS)-now)
	text, until := w.Remaining(left)
	m := Menu{Icon: picture.Open, Tooltip: w.Text(words.TimeLeft, "left", text), Next: Never}
	if left > 0 {
		m.Next = now + left - until
	}
	if s.Phase == link.Warned {
		m.Icon, m.Title = picture.Warning, text
	}
	return m
}

// instant is a boot time of the link. One that does not fit is far away.
func instant(ms int64) time.Duration {
	const most = int64(math.MaxInt64 / time.Millisecond / 2)
	return time.Duration(min(max(ms, 0), most)) * time.Millisecond
}

// why tells the limit, the warning, who set it, what happens then, and where use is seen.
func why(s link.State, w words.Catalogue) []Item {
	role := w.Text(words.WhyDefault)
	if s.Role != "" {
		role = w.Text(words.WhyRole, "role", s.Role)
	}
	lines := []string{
		w.Text(words.WhyLimit, "limit", w.Length(instant(s.LimitMS))),
		w.Text(words.WhyWarning, "warning", w.Length(instant(s.WarningMS))),
		role,
		w.Text(action(s.Action), "clients", w.Clients(s.Clients)),
		source(s.Source, w),
		w.Text(words.WhyInput),
	}
	if s.Source == "" || s.Source == "none" {
		lines[len(lines)-1] = ""
	}
	return texts(lines...)
}

// texts are lines to read. They are enabled, because desktops make what is not too pale to read.
func texts(lines ...string) []Item {
	items := make([]Item, len(lines))
	for i, line := range lines {
		items[i] = Item{Text: line, Enabled: line != ""}
	}
	return items
}

func action(name string) words.Key {
	switch name {
	case "disconnect":
		return words.WhyDisconnect
	case "sign-out":
		return words.WhySignOut
	case "close-clients":
		return words.WhyClose
	case "close-clients-and-lock":
		return words.WhyCloseAndLock
	}
	return words.WhyLock
}

// source tells where use is seen, in words for the sources that have them.
func source(name string, w words.Catalogue) string {
	var where string
	switch name {
	case "", "none":
		return w.Text(words.WhyUnreadable)
	case "evdev", "probe":
		where = w.Text(words.SourceDevices)
	case "x11", "wayland":
		where = w.Text(words.SourceDesktop)
	case "tty":
		where = w.Text(words.SourceTerminal)
	default:
		where = name
	}
	return w.Text(words.WhySource, "source", where)
}

// recorded tells what is recorded and what never is, and where the records go.
func recorded(s link.State, connected bool, w words.Catalogue) []Item {
	way := ""
	switch {
	case !connected:
	case s.Courier == "up":
		way = w.Text(words.RecordsSent)
	case s.Courier == "down":
		way = w.Text(words.RecordsWaiting, "n", strconv.FormatUint(s.Unsent, 10))
	default:
		way = w.Text(words.RecordsHere)
	}
	return texts(w.Text(words.RecordedWhat), w.Text(words.RecordedNever), way)
}
