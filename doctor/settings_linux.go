package doctor

import (
	"context"
	"encoding/xml"
	"path"
	"strings"
)

// barred are settings for all users that take a desktop's lock away: section, key, value. Some only stop the desktop from
// locking by itself, which Stepaway does not count on.
var barred = []struct {
	files               []string
	section, key, value string
	stops               bool // stops every lock, not only those that the desktop begins
}{
	{dconf, "org/gnome/desktop/lockdown", "disable-lock-screen", "true", true},
	{dconf, "org/cinnamon/desktop/lockdown", "disable-lock-screen", "true", true},
	{dconf, "org/mate/desktop/lockdown", "disable-lock-screen", "true", true},
	{dconf, "org/gnome/desktop/screensaver", "lock-enabled", "false", false},
	{dconf, "org/cinnamon/desktop/screensaver", "lock-enabled", "false", false},
	{dconf, "org/mate/screensaver", "lock-enabled", "false", true}, // then it covers the screen and asks for nothing
	{kde, "KDE Action Restrictions", "action/lock_screen", "false", true},
	{[]string{"/etc/xdg/kscreenlockerrc"}, "Daemon", "Autolock", "false", false},
}

var (
	dconf = []string{"/usr/share/glib-2.0/schemas/*.gschema.override", "/etc/dconf/db/*.d/*"}
	kde   = []string{"/etc/xdg/kdeglobals"}
)

func desktopSettings(_ context.Context, m *Machine) []Finding {
	var fs []Finding
	for _, b := range barred {
		if file := m.says(b.files, b.section, b.key, b.value); file != "" {
			fs = append(fs, barring(b.stops, b.key+"="+b.value, file))
		}
	}
	return append(fs, m.xfconf()...)
}

func barring(stops bool, what, file string) Finding {
	if stops {
		return fail("remove it", "%s in %s keeps desktops from locking", what, file)
	}
	return note("", "%s in %s: the desktop does not lock by itself; Stepaway does", what, file)
}

// says finds the last file in which a setting has the value; "" if the last that sets it says otherwise.
func (m *Machine) says(patterns []string, section, key, value string) (file string) {
	for _, p := range patterns {
		for _, f := range m.glob(p) {
			text, err := m.text(f)
			if err != nil {
				continue
			}
			for _, s := range settings(text) {
				at, _, _ := strings.Cut(s.section, "][") // KDE: [Section][$i] forbids change
				at, _, _ = strings.Cut(at, ":")          // GSettings: schema:DESKTOP
				if at = strings.ReplaceAll(at, ".", "/"); at != section || strings.TrimSuffix(s.key, "[$i]") != key {
					continue
				}
				if file = ""; strings.EqualFold(s.value, value) {
					file = f
				}
			}
		}
	}
	return file
}

type property struct {
	Name  string     `xml:"name,attr"`
	Value string     `xml:"value,attr"`
	Under []property `xml:"property"`
}

func (p property) at(names ...string) string {
	if len(names) == 0 {
		return p.Value
	}
	for _, u := range p.Under {
		if u.Name == names[0] {
			return u.at(names[1:]...)
		}
	}
	return ""
}

// xfconf reads XFCE's settings for all users.
func (m *Machine) xfconf() []Finding {
	var fs []Finding
	for _, f := range m.glob("/etc/xdg/xfce4/xfconf/xfce-perchannel-xml/*.xml") {
		text, err := m.text(f)
		var top property
		if err != nil || xml.Unmarshal([]byte(text), &top) != nil {
			continue
		}
		switch channel := path.Base(f); {
		case channel == "xfce4-screensaver.xml" && top.at("lock", "enabled") == "false":
			fs = append(fs, barring(true, "lock/enabled=false", f))
		case channel == "xfce4-session.xml" && top.at("shutdown", "LockScreen") == "false":
			fs = append(fs, barring(false, "shutdown/LockScreen=false", f))
		}
	}
	return fs
}
