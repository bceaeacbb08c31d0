package idle

import (
	"path/filepath"
	"regexp"
	"time"

	"golang.org/x/sys/unix"

	"stepaway/clock"
)

// terminal remembers what the times of a terminal were taken to mean.
//
// The kernel sets a terminal's atime when a program reads from it, in steps of eight seconds, so At may be up to eight
// seconds early and is never late. What programs write to it does not change it. The terminal's owner may set it, but that
// changes the ctime, which nobody can set and reading leaves alone.
type terminal struct {
	atime, ctime unix.Timespec // as last read
	known        bool
}

var terminalName = regexp.MustCompile(`^(pts/[0-9]{1,7}|tty[A-Za-z0-9]{1,15})$`)

// statTerminal reads the times of a terminal such as "pts/3".
func statTerminal(dev, tty string) (unix.Stat_t, bool) {
	var st unix.Stat_t
	if !terminalName.MatchString(tty) {
		return st, false
	}
	err := unix.Lstat(filepath.Join(dev, tty), &st)
	return st, err == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR
}

func terminalReadable(dev, tty string) bool {
	_, ok := statTerminal(dev, tty)
	return ok
}

// readTerminal looks at the session's terminal. Watch.mu is held; the file system of terminals lies in memory.
func (f *follower) readTerminal() {
	st, ok := statTerminal(f.w.opt.DevDir, f.session.TTY)
	f.input.Readable = ok
	if ok {
		f.see(f.terminal.look(st.Atim, st.Ctim, time.Now(), clock.Now()))
	}
}

// future is how far ahead an atime may lie and still be taken for now.
const future = 8 * time.Second

// look converts an atime to boot time. One that has not changed says nothing new, so steps of the wall clock do not
// shift it. One far in the future is none that the kernel wrote, unless the wall clock was set back: it is not believed.
// Neither is one that came with a change of the inode, as `touch` makes.
func (t *terminal) look(atime, ctime unix.Timespec, wall time.Time, now time.Duration) sighting {
	set := t.known && t.ctime != ctime
	t.ctime = ctime
	if t.known && t.atime == atime {
		return sighting{}
	}
	t.atime, t.known = atime, true
	age := wall.Sub(time.Unix(atime.Unix()))
	if set || age < -future {
		return sighting{injected: now}
	}
	return sighting{believed: max(now-max(age, 0), 1)} // 0 would be none
}
