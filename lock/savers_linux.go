package lock

import (
	"encoding/binary"
	"path/filepath"
	"strings"

	"stepaway/proc"
	"stepaway/x11"
)

// screenSavers begin the names of screen savers that lock. They differ from lockers in two ways: they may cover the screen
// without asking for a password, as xscreensaver does until its user chooses to lock, and their process lives on, or
// is ended by another of theirs, when the password was right.
var screenSavers = []string{"xscreensaver", "xfce4-screensaver", "mate-screensaver", "cinnamon-screensaver", "gnome-screensaver",
	"ukui-screensaver", "light-locker"}

// isSaver reports whether a locker is one of the screenSavers.
func isSaver(p proc.Process) bool {
	name := filepath.Base(p.Exe)
	for _, s := range screenSavers {
		if strings.HasPrefix(name, s) {
			return true
		}
	}
	return false
}

// saysLocked reports whether a saver that covers the screen also locks it, where it tells: xscreensaver writes on the root
// window which it does. That is a word that the user can write too; what he gains is a screen that others may open.
func saysLocked(c *x11.Conn, p proc.Process) bool {
	if !strings.HasPrefix(filepath.Base(p.Exe), "xscreensaver") {
		return true
	}
	status, err := c.InternAtom("_SCREENSAVER_STATUS")
	if err != nil {
		return false
	}
	locked, err := c.InternAtom("LOCK")
	if err != nil {
		return false
	}
	at, err := c.GetProperty(c.Screen.Root, status, 4)
	return err == nil && at.Format == 32 && len(at.Data) >= 4 && binary.LittleEndian.Uint32(at.Data) == locked
}
