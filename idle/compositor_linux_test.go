package idle

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stepaway/clock"
	"stepaway/session"
	"stepaway/test/rig"
)

// Real compositors without hardware, in the sessions of a user who is not root, and a Watch that is.
func TestCompositors(t *testing.T) {
	t.Parallel()
	rig.InSuite(t, rig.Debian13, func(t *testing.T, c *rig.Container) {
		t.Run("sway", func(t *testing.T) { testNotifier(t, c) })
		t.Run("sway of Debian 13", func(t *testing.T) { testOldNotifier(t, c, rig.Sway()) })
		t.Run("labwc", func(t *testing.T) { testOldNotifier(t, c, rig.Labwc("true")) })
		t.Run("KWin", func(t *testing.T) { testOldNotifier(t, c, rig.KWin) })
		t.Run("GNOME", func(t *testing.T) { testGnome(t, c) })
	})
}

// desk is a Wayland session that is followed.
type desk struct {
	t  *testing.T
	c  *rig.Container
	w  *Watch
	id string
}

func (d *desk) begin(script string) {
	d.t.Helper()
	d.id = d.c.Wayland("nurse", script)
	uid, err := strconv.ParseUint(d.c.Must("id", "-u", "nurse"), 10, 32)
	must(d.t, err)
	d.w.Follow([]session.Session{{ID: "c1", UID: uint32(uid), Kind: session.Wayland, Seat: "seat0", Active: true}})
}

func newDesk(t *testing.T, c *rig.Container, script string) *desk {
	t.Helper()
	d := &desk{t: t, c: c, w: watch(t, Options{Root: true})}
	d.begin(script)
	t.Cleanup(func() { c.End(d.id) })
	return d
}

func (d *desk) on(source string) {
	d.t.Helper()
	until(d.t, d.w, "c1", "the compositor", readable)
	if got := d.w.Choice("c1"); got.Source != source {
		d.t.Fatalf("%s, want %s", got.Why, source)
	}
}

// sees gives input, which must be told as when it was given, and nothing after it.
func (d *desk) sees(give func()) {
	d.t.Helper()
	before := clock.Now()
	give()
	after := clock.Now()
	in := until(d.t, d.w, "c1", "the input", since(before-slack))
	time.Sleep(2*lull + slack) // and then none
	if in = latest(d.t, d.w, "c1"); in.At > after+slack {
		d.t.Errorf("input until %v is told as of %v", after, in.At)
	}
}

func testNotifier(t *testing.T, c *rig.Container) {
	d := newDesk(t, c, rig.NextSway(`for_window [app_id="foot"] inhibit_idle open`, "exec foot sleep 1000"))
	d.on(Notifier)
	c.WaitFor("an inhibitor", func() bool {
		return strings.Contains(c.InWayland("nurse", "sh", "-c", "swaymsg -s $XDG_RUNTIME_DIR/sway-ipc.* -t get_tree"), `"inhibit_idle": true`)
	})
	time.Sleep(2 * lull) // what was under way before the first pause is not told
	if in := latest(t, d.w, "c1"); in.At != 0 {
		t.Errorf("%+v: nobody has given input", in)
	}
	key := func() { c.InWayland("nurse", "wtype", "a") }
	d.sees(key)
	d.sees(key)

	before := clock.Now()
	c.InWayland("nurse", "wtype", "-d", "300", strings.Repeat("a", 12)) // goes on for longer than a lull
	in := until(t, d.w, "c1", "the input", since(before+2*lull))
	if in.At > clock.Now() {
		t.Errorf("%v is still to come", in.At)
	}

	before = clock.Now()
	c.InWayland("nurse", "sh", "-c", "wtype -d 200 "+strings.Repeat("a", 100)+" >/dev/null 2>&1 &")
	until(t, d.w, "c1", "the keys", since(before-slack))
	c.Must("pkill", "-STOP", "-x", "sway") // while there is input: it never says that there is none any more
	stopped := clock.Now()
	until(t, d.w, "c1", "a compositor that has stopped", notReadable)
	if in := latest(t, d.w, "c1"); in.At > stopped+slack {
		t.Errorf("stopped at %v, and input at %v", stopped, in.At)
	}
	c.Must("pkill", "-x", "wtype")
	c.Must("pkill", "-CONT", "-x", "sway")
	until(t, d.w, "c1", "one that goes on", readable)
	time.Sleep(2 * lull)
	d.sees(key)
}

// testOldNotifier: what honours inhibitors is not believed.
func testOldNotifier(t *testing.T, c *rig.Container, script string) {
	d := newDesk(t, c, script)
	c.WaitFor("a look at the compositor", func() bool { return strings.Contains(d.w.Choice("c1").Why, "honours inhibitors") })
	if in := latest(t, d.w, "c1"); in != (Input{}) || d.w.Choice("c1").Source != None {
		t.Errorf("%+v, %s", in, d.w.Choice("c1").Why)
	}
}

func testGnome(t *testing.T, c *rig.Container) {
	d := newDesk(t, c, rig.Gnome)
	d.on(Mutter)
	mark := clock.Now()
	time.Sleep(2 * lull)
	if in := latest(t, d.w, "c1"); in.At > mark {
		t.Errorf("%+v: nobody has given input since %v", in, mark)
	}
	for range 2 {
		d.sees(func() { c.TypeInGnome("nurse") })
	}
	c.Must("pkill", "-STOP", "-x", "gnome-shell")
	time.Sleep(slack)
	c.Must("pkill", "-CONT", "-x", "gnome-shell")
	d.sees(func() { c.TypeInGnome("nurse") })
	c.Must("pkill", "-KILL", "-x", "gnome-shell")
	until(t, d.w, "c1", "the end of the shell", notReadable)
	if got := d.w.Choice("c1"); got.Source != None {
		t.Errorf("%s", got.Why)
	}
}

// A user cannot lead us to a socket that he may not use himself, and who we are for ourselves does not change.
func TestDialAsTheUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("acting as another user needs root")
	}
	const uid = 4321
	dir, err := os.MkdirTemp("", "as") // short, and below directories that others may enter
	must(t, err)
	defer os.RemoveAll(dir)
	must(t, os.Chmod(dir, 0o755))
	for name, mode := range map[string]os.FileMode{"own": 0o666, "roots": 0o660} {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, name)})
		must(t, err)
		defer l.Close()
		must(t, os.Chmod(l.Addr().String(), mode))
		c, err := dialAs(t.Context(), uid, l.Addr().String())
		if name == "roots" {
			if !errors.Is(err, os.ErrPermission) {
				t.Errorf("root's socket: %v", err)
			}
			continue
		}
		must(t, err)
		defer c.Close()
		far, err := l.AcceptUnix()
		must(t, err)
		defer far.Close()
		raw, err := far.SyscallConn()
		must(t, err)
		raw.Control(func(fd uintptr) {
			if peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err != nil || peer.Uid != uid || peer.Gid == 0 {
				t.Errorf("came as %+v, %v", peer, err)
			}
		})
	}
	for end := time.Now().Add(patience); foreign(t) != ""; time.Sleep(10 * time.Millisecond) { // until its thread has ended
		if time.Now().After(end) {
			t.Fatalf("not root's alone:\n%s", foreign(t))
		}
	}
}

// foreign is a thread of ours that has not all of root's ids, or "".
func foreign(t *testing.T) string {
	t.Helper()
	threads, err := filepath.Glob("/proc/self/task/*/status")
	must(t, err)
	for _, path := range threads {
		if status, err := os.ReadFile(path); err == nil && !strings.Contains(string(status), "Uid:\t0\t0\t0\t0\n") {
			return string(status)
		}
	}
	return ""
}
