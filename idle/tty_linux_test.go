package idle

import (
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stepaway/clock"
	"stepaway/session"
)

// terminalPair opens a pseudo-terminal: the side of the person, that of the programs, and its name.
func terminalPair(t *testing.T) (person, program *os.File, name string) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	t.Cleanup(func() { person.Close() })
	must(t, unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	must(t, err)
	name = fmt.Sprint("pts/", n)
	program, err = os.OpenFile("/dev/"+name, os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	t.Cleanup(func() { program.Close() })
	return person, program, name
}

func TestTerminal(t *testing.T) {
	person, program, name := terminalPair(t)
	hourAgo := time.Now().Add(-time.Hour)
	must(t, os.Chtimes("/dev/"+name, hourAgo, hourAgo))
	s := session.Session{ID: "c1", UID: uint32(os.Getuid()), Kind: session.SSH, TTY: name}
	w := watch(t, Options{}, s)
	in := until(t, w, "c1", "the terminal", readable)
	if w.Choice("c1").Source != TTY {
		t.Fatalf("choice %+v", w.Choice("c1"))
	}
	if off := clock.Now() - time.Hour - in.At; clock.Now() > time.Hour && (off < -time.Minute || off > time.Minute) {
		t.Errorf("an hour ago is %v off", off)
	}
	_, err := program.WriteString("prompt\n")
	must(t, err)
	if again := latest(t, w, "c1"); again.At != in.At {
		t.Errorf("what a program wrote moved the input from %v to %v", in.At, again.At)
	}
	_, err = person.WriteString("yes\n")
	must(t, err)
	_, err = program.Read(make([]byte, 100))
	must(t, err)
	if typed := latest(t, w, "c1"); clock.Now()-typed.At > 20*time.Second { // steps of eight seconds
		t.Errorf("typing was seen %v ago", clock.Now()-typed.At)
	}
	before := latest(t, w, "c1")
	time.Sleep(50 * time.Millisecond) // the kernel writes a ctime in steps of some milliseconds
	must(t, os.Chtimes("/dev/"+name, time.Now(), time.Now()))
	if touched := latest(t, w, "c1"); touched.At != before.At || touched.InjectedCount != 1 {
		t.Errorf("a time that the owner set: %+v, before %+v", touched, before)
	}
	must(t, os.Chmod("/dev/"+name, 0o600)) // as mesg does
	if again := latest(t, w, "c1"); again.At != before.At || again.InjectedCount != 1 {
		t.Errorf("nothing was typed: %+v, before %+v", again, before)
	}
	must(t, os.Chtimes("/dev/"+name, time.Now().Add(time.Hour), time.Now()))
	if ahead := latest(t, w, "c1"); ahead.At != before.At || ahead.InjectedCount != 2 {
		t.Errorf("a time in the future: %+v, before %+v", ahead, before)
	}
	program.Close()
	person.Close()
	if in := latest(t, w, "c1"); in.Readable || in.At != before.At {
		t.Errorf("a terminal that is gone: %+v", in)
	}
}

func TestTerminalLook(t *testing.T) {
	wall := time.Unix(1_700_000_000, 0)
	ago := func(d time.Duration) unix.Timespec { return unix.NsecToTimespec(wall.Add(-d).UnixNano()) }
	var term terminal
	const now = 10 * time.Hour
	made := ago(200 * time.Hour)
	if s := term.look(ago(time.Minute), made, wall, now); s.believed != now-time.Minute {
		t.Errorf("a minute ago: %+v", s)
	}
	if s := term.look(ago(time.Minute), made, wall.Add(-time.Hour), now+time.Second); !s.empty() {
		t.Errorf("the wall clock was set back, nothing was typed: %+v", s)
	}
	if s := term.look(ago(-3*time.Second), made, wall, now); s.believed != now {
		t.Errorf("just ahead: %+v", s)
	}
	if s := term.look(ago(-time.Hour), made, wall, now); s.believed != 0 || s.injected != now {
		t.Errorf("far ahead: %+v", s)
	}
	if s := term.look(ago(100*time.Hour), made, wall, now); s.believed != 1 {
		t.Errorf("before boot: %+v", s)
	}
}

func TestTerminalNamesStayBelowDev(t *testing.T) {
	for _, name := range []string{"", "pts/../null", "../etc/passwd", "/dev/pts/0", "pts/", "null", "pts/1/../2", "tty/../null"} {
		if terminalReadable("/dev", name) {
			t.Errorf("%q is a terminal", name)
		}
	}
}
