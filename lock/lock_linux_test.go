package lock

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"stepaway/policy"
	"stepaway/proc"
	"stepaway/session"
	"stepaway/session/logind"
	"stepaway/test/rig"
	"stepaway/x11"
)

// self is the test binary within the container.
const self = "/usr/local/bin/rig-test"

// TestMain also plays the programs that tests need in a session.
func TestMain(m *testing.M) {
	switch os.Getenv("LOCK_TEST_ROLE") {
	case "grab":
		holdGrab()
	case "saver":
		beSaver()
	case "blank":
		blank()
	case "cover":
		cover()
	case "parent":
		_ = exec.Command("i3lock", "-n").Start()
		time.Sleep(time.Hour)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		time.Sleep(time.Hour)
	case "sleep":
		time.Sleep(time.Hour)
	case "window":
		beWindow()
	default:
		os.Exit(m.Run())
	}
}

func role(name string) string { return "LOCK_TEST_ROLE=" + name + " " + self }

func ownScreen() *x11.Conn {
	cookie, _ := x11.ReadCookie(os.Getenv("XAUTHORITY"), os.Getenv("DISPLAY"))
	c, err := x11.Dial(context.Background(), os.Getenv("DISPLAY"), cookie)
	if err != nil {
		panic(err)
	}
	return c
}

// holdGrab holds keyboard and pointer, as an open menu does.
func holdGrab() {
	c := ownScreen()
	k, err := c.GrabKeyboard(c.Screen.Root)
	p, err2 := c.GrabPointer(c.Screen.Root)
	if k != x11.GrabSuccess || p != x11.GrabSuccess {
		panic(fmt.Sprint(k, p, err, err2))
	}
	_ = os.WriteFile(os.Getenv("HOME")+"/grabbed", nil, 0o644)
	time.Sleep(time.Hour)
}

// cover puts a window over all others, again and again.
func cover() {
	c := ownScreen()
	w, _ := c.CreateWindow(x11.Window{Width: c.Screen.Width, Height: c.Screen.Height, OverrideRedirect: true})
	_ = c.MapWindow(w)
	for {
		_ = c.Raise(w)
		_ = c.Sync()
		_ = os.WriteFile(os.Getenv("HOME")+"/covered", nil, 0o644)
		time.Sleep(time.Millisecond)
	}
}

// blank covers the screen as a saver does, says that it locks once it is told to, and opens when it is told to, but lives on.
func blank() {
	c := ownScreen()
	w, _ := c.CreateWindow(x11.Window{Width: c.Screen.Width, Height: c.Screen.Height, OverrideRedirect: true})
	_ = c.MapWindow(w)
	for k := byte(1); k != x11.GrabSuccess; time.Sleep(10 * time.Millisecond) { // a look holds it for a moment
		k, _ = c.GrabKeyboard(c.Screen.Root)
	}
	status, _ := c.InternAtom("_SCREENSAVER_STATUS")
	for told := ""; told != "open"; time.Sleep(10 * time.Millisecond) {
		b, _ := os.ReadFile(os.Getenv("HOME") + "/tell")
		if next := strings.TrimSpace(string(b)); next != told {
			told = next
			atom, _ := c.InternAtom(told)
			_ = c.ChangeProperty(c.Screen.Root, status, 19, 32, binary.LittleEndian.AppendUint32(nil, atom)) // 19 is INTEGER
			_ = c.Sync()
		}
	}
	_ = c.UngrabKeyboard()
	_ = c.UnmapWindow(w)
	_ = c.Sync()
	time.Sleep(time.Hour)
}

// beSaver is a desktop's screen saver that locks when it is asked by its own name only.
func beSaver() {
	conn, err := dbus.ConnectSessionBus()
	if err != nil {
		panic(err)
	}
	_ = conn.Export(saver{}, "/org/gnome/ScreenSaver", "org.gnome.ScreenSaver")
	if _, err := conn.RequestName("org.gnome.ScreenSaver", 0); err != nil {
		panic(err)
	}
	_ = os.WriteFile(os.Getenv("HOME")+"/saving", nil, 0o644)
	time.Sleep(time.Hour)
}

type saver struct{}

func (saver) Lock() *dbus.Error {
	_ = exec.Command("/usr/bin/i3lock", "-n").Start()
	return nil
}

// bench is what every test in a container works with.
type bench struct {
	*testing.T
	c   *rig.Container
	log *logind.Logind
	l   *Ladder
}

func inContainer(t *testing.T, test func(b *bench)) {
	t.Helper()
	t.Parallel() // they wait more than they work
	rig.InContainer(t, func(t *testing.T, c *rig.Container) {
		log, err := logind.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(log.Close)
		test(&bench{T: t, c: c, log: log, l: New(Options{Root: true, Bus: log, RungWait: 3 * time.Second})})
	})
}

func (b *bench) session(id string) session.Session {
	b.Helper()
	list, err := b.log.Snapshot(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	i := slices.IndexFunc(list, func(s session.Session) bool { return s.ID == id })
	if i < 0 {
		b.Fatalf("no session %s in %+v", id, list)
	}
	return list[i]
}

// desktop starts one for nurse.
func (b *bench) desktop(lines ...string) session.Session {
	b.Helper()
	return b.session(b.c.Desktop("nurse", lines...))
}

func (b *bench) waitFile(name string) {
	b.Helper()
	b.c.WaitFor(name, func() bool { _, err := os.Stat("/home/nurse/" + name); return err == nil })
}

var i3 = []string{"/usr/bin/i3lock", "-n"}

func (b *bench) secure(s session.Session, w Want, want policy.Proof, rungs string) {
	b.Helper()
	var took []string
	began := time.Now()
	got := b.l.Secure(b.Context(), s, w, func(st Step) {
		took = append(took, strings.TrimSuffix(string(st.Rung)+":"+string(st.Code), ":"))
	})
	if path := strings.Join(took, " "); got != want || path != rungs {
		b.Fatalf("proof %s by %q, want %s by %q", got, path, want, rungs)
	}
	b.Logf("proof %s by %q after %v", got, rungs, time.Since(began).Round(time.Millisecond))
}

// locker returns the process that holds the screen of a session.
func (b *bench) locker(s session.Session) int {
	b.Helper()
	var e evidence
	b.c.WaitFor("a locker on the screen", func() bool {
		e = b.l.evidence(b.Context(), s, asking{})
		return e.proof == policy.ProofLocker
	})
	return e.locker.PID
}

func (b *bench) released(ch <-chan Release, want ...Release) {
	b.Helper()
	select {
	case r := <-ch:
		if !slices.Contains(want, r) {
			b.Errorf("released: %s, want %s", r, want)
		}
	case <-time.After(rig.Patience):
		b.Errorf("the lock is still held, want %s", want)
	}
}

func (b *bench) held(ch <-chan Release, d time.Duration, why string) {
	b.Helper()
	select {
	case r := <-ch:
		b.Errorf("released (%s): %s", r, why)
	case <-time.After(d):
	}
}

func (b *bench) look(s session.Session, want policy.Proof, why string) {
	b.Helper()
	if got := b.l.Look(b.Context(), s, 0); got != want {
		b.Errorf("%s: proof %s, want %s", why, got, want)
	}
}

func TestLockThatIsObeyedAndPasswords(t *testing.T) {
	inContainer(t, func(b *bench) {
		s := b.desktop(rig.ObeysLock)
		b.look(s, policy.ProofNone, "before")
		b.secure(s, Want{Proof: policy.ProofLocker}, policy.ProofLocker, "logind")
		time.Sleep(giveUp)
		b.secure(s, Want{Proof: policy.ProofLocker}, policy.ProofLocker, "already")
		hold := b.l.Hold(b.Context(), s)
		b.c.As("nurse", s.Display, "sh", "-c", "XAUTHORITY=/home/nurse/.Xauthority xdotool type --delay 60 wrong")
		b.c.As("nurse", s.Display, "sh", "-c", "XAUTHORITY=/home/nurse/.Xauthority xdotool key Return")
		b.held(hold, 4*time.Second, "a wrong password")
		b.look(s, policy.ProofLocker, "after a wrong password")
		b.c.As("nurse", s.Display, "sh", "-c", "XAUTHORITY=/home/nurse/.Xauthority xdotool type --delay 60 nurse")
		b.c.As("nurse", s.Display, "sh", "-c", "XAUTHORITY=/home/nurse/.Xauthority xdotool key Return")
		b.released(hold, Opened, Unwatched)
		b.c.WaitFor("the hint to go", func() bool { return b.l.Look(b.Context(), s, 0) == policy.ProofNone })
	})
}

func TestNobodyObeysFallbackLocksAndIsKilled(t *testing.T) {
	inContainer(t, func(b *bench) {
		s := b.desktop()
		b.secure(s, Want{Proof: policy.ProofLocker, Fallback: i3}, policy.ProofLocker, "logind:unproved desktop:unavailable fallback")
		pid := b.locker(s)
		p, _ := proc.Read(pid)
		if want := "/user.slice/user-1000.slice/" + unitName(lockerUnit, s); p.Group != want {
			b.Errorf("the locker is in %s, want %s", p.Group, want)
		}
		if got := proc.Env(pid, "NOTIFY_SOCKET") + proc.Env(pid, "DBUS_SYSTEM_BUS_ADDRESS"); got != "" {
			b.Errorf("the locker was given %q", got)
		}
		hold := b.l.Hold(b.Context(), s)
		b.held(hold, time.Second, "nothing happened")
		_ = syscall.Kill(pid, syscall.SIGKILL)
		b.released(hold, Killed, Unwatched)
		b.secure(s, Want{Proof: policy.ProofLocker, Fallback: i3}, policy.ProofLocker, "logind:unproved desktop:unavailable fallback")
	})
}

// A locker's parent may be any program of the user's, and need not take note that it was killed.
func TestKilledLockerWhoseParentTakesNoNote(t *testing.T) {
	inContainer(t, func(b *bench) {
		s := b.desktop(role("parent") + " &")
		pid := b.locker(s)
		hold := b.l.Hold(b.Context(), s)
		b.held(hold, time.Second, "nothing happened")
		_ = syscall.Kill(pid, syscall.SIGKILL)
		b.released(hold, Killed)
	})
}

func TestFakedHintIsAClaim(t *testing.T) {
	inContainer(t, func(b *bench) {
		s := b.desktop(`busctl call org.freedesktop.login1 /org/freedesktop/login1/session/auto org.freedesktop.login1.Session SetLockedHint b true`)
		b.look(s, policy.ProofClaim, "a hint that nothing stands behind")
		b.secure(s, Want{Proof: policy.ProofClaim}, policy.ProofClaim, "logind")
		b.secure(s, Want{Proof: policy.ProofLocker, Fallback: i3}, policy.ProofLocker, "logind:unproved desktop:unavailable fallback")
		b.look(s, policy.ProofLocker, "after the fallback")
	})
}

// saver has a program of a saver's name run in a desktop.
func (b *bench) saver(name string) session.Session {
	b.Helper()
	b.c.Must("install", self, "/usr/bin/"+name)
	s := b.desktop(rig.When("blank", "LOCK_TEST_ROLE=blank /usr/bin/"+name))
	b.c.Do("nurse", "blank")
	return s
}

func (b *bench) tell(word string) { b.c.Write("/home/nurse/tell", word, 0o644) }

func TestSaverThatOnlyBlanksIsNoProof(t *testing.T) {
	inContainer(t, func(b *bench) {
		s := b.saver("xscreensaver-gfx")
		b.tell("BLANK")
		b.c.WaitFor("the keyboard", func() bool { return b.l.keyboardHeld(b.Context(), s) })
		time.Sleep(500 * time.Millisecond)
		b.look(s, policy.ProofNone, "a screen that is blank")
		b.tell("LOCK")
		b.locker(s)
	})
}

func TestSaverIsAskedToLockAndLivesOnWhenItOpens(t *testing.T) {
	inContainer(t, func(b *bench) {
		s := b.saver("mate-screensaver")
		pid := b.locker(s)
		b.secure(s, Want{}, policy.ProofLocker, "logind") // it may only be blanking
		hold := b.l.Hold(b.Context(), s)
		b.held(hold, 500*time.Millisecond, "nothing happened")
		b.tell("open")
		b.c.WaitFor("the screen", func() bool { return b.l.Look(b.Context(), s, 0) == policy.ProofNone })
		b.l.Nudge()
		b.released(hold, Unwatched)
		if p, err := proc.Read(pid); err != nil || !p.Running() {
			b.Errorf("the saver: %+v, %v", p, err)
		}
	})
}

func TestStoppedLockerIsNoProof(t *testing.T) {
	inContainer(t, func(b *bench) {
		s := b.desktop(rig.ObeysLock)
		b.secure(s, Want{}, policy.ProofLocker, "logind")
		hold := b.l.Hold(b.Context(), s)
		b.held(hold, 500*time.Millisecond, "nothing happened")
		pid := b.locker(s)
		_ = syscall.Kill(pid, syscall.SIGSTOP)
		b.c.WaitFor("the stop", func() bool { p, _ := proc.Read(pid); return p.State == 'T' })
		b.look(s, policy.ProofClaim, "a stopped locker")
		blind := s
		blind.Kind = session.Wayland // where no screen can be asked
		b.look(blind, policy.ProofClaim, "a stopped locker")
		b.released(hold, Killed)
		_ = syscall.Kill(pid, syscall.SIGCONT)
		b.look(s, policy.ProofLocker, "a locker that goes on")
	})
}

func TestGrabByAnotherClientClimbsToTheEnd(t *testing.T) {
	inContainer(t, func(b *bench) {
		s := b.desktop(rig.ObeysLock, role("grab")+" &")
		b.waitFile("grabbed")
		if got := b.l.Secure(b.Context(), s, Want{Fallback: i3}, nil); got.AtLeast(policy.ProofLocker) {
			b.Errorf("proof %s though another client holds the keyboard", got)
		}
		var last Rung
		got := b.l.Secure(b.Context(), s, Want{Fallback: i3, Terminate: true}, func(st Step) { last = st.Rung })
		if got != policy.ProofEnded || last != Terminate {
			b.Errorf("proof %s by %s, want the end", got, last)
		}
	})
}

func TestWindowAboveTheLockerIsNoProof(t *testing.T) {
	inContainer(t, func(b *bench) {
		s := b.desktop(rig.When("lock", "i3lock -n"), rig.When("cover", role("cover")))
		b.c.Do("nurse", "lock")
		b.c.WaitFor("the lock", func() bool { return b.l.Look(b.Context(), s, 0) == policy.ProofLocker })
		b.freeze("i3lock") // so that it does not raise itself
		b.c.WaitFor("the frozen lock", func() bool { return b.l.Look(b.Context(), s, 0) == policy.ProofLocker })
		b.c.Do("nurse", "cover")
		b.waitFile("covered")
		b.look(s, policy.ProofNone, "under a window")
	})
}

// freeze holds all processes of a program where they are. Other than those that are stopped they do not look it.
func (b *bench) freeze(program string) {
	b.Helper()
	b.c.Must("sh", "-c", `set -e; cd /sys/fs/cgroup; mkdir frozen; for p in $(pgrep -x "$0"); do echo $p >frozen/cgroup.procs; done; echo 1 >frozen/cgroup.freeze`, program)
	b.c.WaitFor("the frozen "+program, func() bool {
		events, err := os.ReadFile("/sys/fs/cgroup/frozen/cgroup.events")
		return err == nil && strings.Contains(string(events), "populated 1") && strings.Contains(string(events), "frozen 1")
	})
}

func TestFakeLockersAreNoProof(t *testing.T) {
	const preload = `mkdir -p $HOME/bin; cp /usr/lib/x86_64-linux-gnu/libXau.so.6 $HOME/bin/own.so`
	for name, locker := range map[string]string{
		"copy":      "cp /usr/bin/i3lock $HOME/i3lock; $HOME/i3lock -n",
		"preloaded": preload + "; LD_PRELOAD=$HOME/bin/own.so /usr/bin/i3lock -n",
		"renamed":   "cp /bin/sleep $HOME/i3lock; $HOME/i3lock 1000",
		"mounted":   "unshare -rm sh -c 'mount --bind /bin/sleep /usr/bin/i3lock; exec /usr/bin/i3lock 1000'",
		"link":      "ln -s /usr/bin/i3lock $HOME/locker; exec -a /usr/bin/i3lock sleep 1000",
	} {
		t.Run(name, func(t *testing.T) {
			inContainer(t, func(b *bench) {
				s := b.desktop(rig.When("fake", locker+"; touch $HOME/failed"))
				b.c.Do("nurse", "fake")
				time.Sleep(1500 * time.Millisecond)
				if _, err := os.Stat("/home/nurse/failed"); err == nil {
					b.Fatal("the fake locker did not run")
				}
				b.look(s, policy.ProofNone, "a fake locker")
				s.Kind = session.Wayland // where no screen can be asked
				b.look(s, policy.ProofNone, "a fake locker")
			})
		})
	}
}

func TestLockerWithoutAScreenToAskMustBeNew(t *testing.T) {
	inContainer(t, func(b *bench) {
		s := b.desktop(rig.When("lock", "i3lock -n"))
		b.c.Do("nurse", "lock")
		pid := b.locker(s)
		p, err := proc.Read(pid)
		if err != nil {
			b.Fatal(err)
		}
		s.Kind = session.Wayland
		if got := b.l.Look(b.Context(), s, p.Start); got != policy.ProofLocker {
			b.Errorf("started after: %s", got)
		}
		if got := b.l.Look(b.Context(), s, p.Start+time.Second); got != policy.ProofNone {
			b.Errorf("started before: %s", got)
		}
	})
}

// A service that is started anew finds the locker of the run before, which holds the keyboard.
func TestLockerOfTheRunBeforeIsWaitedFor(t *testing.T) {
	inContainer(t, func(b *bench) {
		s := b.desktop(rig.When("lock", "i3lock -n"))
		b.c.Do("nurse", "lock")
		pid := b.locker(s)
		b.secure(s, Want{Fallback: i3, Terminate: true}, policy.ProofLocker, "logind")
		if now := b.locker(s); now != pid {
			b.Errorf("locker %d, want %d", now, pid)
		}
	})
}

func TestXsecurelockIsProof(t *testing.T) {
	inContainer(t, func(b *bench) {
		s := b.desktop()
		b.secure(s, Want{Fallback: []string{"/usr/bin/xsecurelock"}}, policy.ProofLocker,
			"logind:unproved desktop:unavailable fallback")
	})
}

func TestDesktopsOwnName(t *testing.T) {
	inContainer(t, func(b *bench) {
		s := b.desktop(role("saver") + " &")
		b.waitFile("saving")
		b.secure(s, Want{Fallback: i3}, policy.ProofLocker, "logind:unproved desktop")
	})
}

func TestFallbackThatOthersCanWrite(t *testing.T) {
	inContainer(t, func(b *bench) {
		s := b.desktop()
		b.c.Must("cp", i3[0], "/home/nurse/i3lock")
		b.secure(s, Want{Fallback: []string{"/home/nurse/i3lock"}}, policy.ProofNone,
			"logind:unproved desktop:unavailable fallback:distrusted greeter:unavailable")
		b.secure(s, Want{Fallback: []string{"i3lock"}}, policy.ProofNone,
			"logind:unproved desktop:unavailable fallback:unavailable greeter:unavailable")
	})
}

func TestGreeter(t *testing.T) {
	inContainer(t, func(b *bench) {
		s := b.desktop()
		b.c.Session("doctor", "#!/bin/sh\nexec sleep infinity\n", "-E", "XDG_SESSION_CLASS=greeter", "-E", "XDG_SEAT=seat0")
		b.c.Must("loginctl", "activate", s.ID)
		b.secure(s, Want{}, policy.ProofGreeter, "logind:unproved desktop:unavailable fallback:unavailable greeter")
		hold := b.l.Hold(b.Context(), s)
		b.held(hold, 500*time.Millisecond, "nothing happened")
		b.c.Must("loginctl", "activate", s.ID)
		b.l.Nudge()
		b.released(hold, Unwatched)
		b.secure(s, Want{Goal: Disconnect}, policy.ProofGreeter, "greeter")
	})
}

func TestOwnGreeterIsNoGreeter(t *testing.T) {
	inContainer(t, func(b *bench) {
		s := b.desktop()
		b.c.Session("nurse", "#!/bin/sh\nexec sleep infinity\n", "-E", "XDG_SESSION_CLASS=greeter", "-E", "XDG_SEAT=seat0")
		b.look(s, policy.ProofNone, "a greeter of the same user")
	})
}

func TestSignOutAndWhatResists(t *testing.T) {
	inContainer(t, func(b *bench) {
		s := b.desktop(`sh -c 'trap "" TERM HUP; while :; do sleep 1; done' &`)
		b.secure(s, Want{Goal: SignOut}, policy.ProofEnded, "terminate")
		b.look(s, policy.ProofEnded, "afterwards")
		b.released(b.l.Hold(b.Context(), s), Ended)
	})
}

func TestTerminalSessionIsEnded(t *testing.T) {
	inContainer(t, func(b *bench) {
		s := b.session(b.c.Session("nurse", "#!/bin/sh\nexec sleep infinity\n", "-E", "XDG_SESSION_TYPE=tty"))
		s.Kind = session.TTY
		b.secure(s, Want{Proof: policy.ProofLocker}, policy.ProofEnded, "terminate")
	})
}

func TestHoldEndsWithItsContext(t *testing.T) {
	l := New(Options{})
	s := session.Session{ID: "x", UID: uint32(os.Getuid()), Kind: session.X11}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	hold := l.Hold(ctx, s)
	rig.WaitFor(t, "the watch to end", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return len(l.nudges) == 0 })
	select {
	case r := <-hold:
		t.Errorf("released after the context ended: %s", r)
	default:
	}
}

func TestHungLogindStillLocks(t *testing.T) {
	inContainer(t, func(b *bench) {
		s := b.desktop()
		_ = syscall.Kill(pidOf(b, "systemd-logind"), syscall.SIGSTOP)
		began := time.Now()
		got := b.l.Secure(b.Context(), s, Want{Fallback: i3}, nil)
		if took := time.Since(began); got != policy.ProofLocker || took > rig.Patience/2 {
			b.Errorf("proof %s after %v", got, took)
		} else {
			b.Logf("locked after %v", took)
		}
	})
}

func TestHungLogindStillEndsASession(t *testing.T) {
	inContainer(t, func(b *bench) {
		s := b.desktop(`sh -c 'trap "" TERM HUP; while :; do sleep 1; done' &`)
		_ = syscall.Kill(pidOf(b, "systemd-logind"), syscall.SIGSTOP)
		b.secure(s, Want{Goal: SignOut}, policy.ProofEnded, "terminate")
	})
}

// hangingBus stands for what hangs in the kernel whatever its caller's context says, such as the memory of a process.
type hangingBus struct {
	end   chan struct{}
	calls chan string
}

func (h hangingBus) Call(_ context.Context, _ string, _ dbus.ObjectPath, method string, _ ...any) ([]any, error) {
	select {
	case h.calls <- method:
	default:
	}
	<-h.end
	return nil, dbus.Error{Name: "org.freedesktop.DBus.Error.NoReply"}
}

func TestWhatHangsHoldsUpNoRequestAndDoesNotPileUp(t *testing.T) {
	bus := hangingBus{make(chan struct{}), make(chan string, 100)}
	l := New(Options{Root: true, Bus: bus, RungWait: 100 * time.Millisecond})
	s := session.Session{ID: "x", UID: uint32(os.Getuid()), Kind: session.X11, Scope: "/none", Leader: os.Getpid()}
	before := runtime.NumGoroutine()
	for range 3 {
		began := time.Now()
		var took []string
		got := l.Secure(t.Context(), s, Want{}, func(st Step) { took = append(took, string(st.Rung)) })
		if got != policy.ProofNone || len(took) != 4 || time.Since(began) > rig.Patience {
			t.Errorf("proof %s by %q after %v", got, took, time.Since(began))
		}
	}
	if asked := <-bus.calls + <-bus.calls; !strings.Contains(asked, "LockSession") {
		t.Errorf("asked first: %s", asked)
	}
	if now := runtime.NumGoroutine(); now > before+10 {
		t.Errorf("%d goroutines, %d before", now, before)
	}
	close(bus.end)
	rig.WaitFor(t, "what hung to end", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return len(l.doing) == 0 })
}

func pidOf(b *bench, unit string) int {
	pid, err := strconv.Atoi(b.c.Must("systemctl", "show", "-P", "MainPID", unit))
	if err != nil || pid == 0 {
		b.Fatalf("pid of %s: %d, %v", unit, pid, err)
	}
	return pid
}

func TestWithoutRootOrLogind(t *testing.T) {
	display := rig.Xvfb(t)
	rig.Tool(t, "i3lock")
	s := session.Session{ID: "self", UID: uint32(os.Getuid()), User: "root", Kind: session.X11, Display: display, Active: true}
	l := New(Options{RungWait: 10 * time.Second})
	if got := l.Look(t.Context(), s, 0); got != policy.ProofNone {
		t.Fatalf("before: %s", got)
	}
	var took []string
	got := l.Secure(t.Context(), s, Want{Fallback: i3}, func(st Step) { took = append(took, string(st.Rung)) })
	if got != policy.ProofLocker || !slices.Contains(took, string(Fallback)) {
		t.Fatalf("proof %s by %v", got, took)
	}
	e := l.evidence(t.Context(), s, asking{})
	pin, err := proc.Pin(e.locker.PID)
	if err != nil {
		t.Fatal(err)
	}
	defer pin.Close()
	hold := l.Hold(t.Context(), s)
	time.Sleep(300 * time.Millisecond)
	_ = pin.Signal(syscall.SIGTERM)
	select {
	case r := <-hold:
		if r != Killed && r != Unwatched {
			t.Errorf("released: %s", r)
		}
	case <-time.After(rig.Patience):
		t.Error("the lock is still held")
	}
}

func TestTrustedFile(t *testing.T) {
	for _, path := range []string{"/usr/bin/env", "/bin/sh"} {
		if _, err := trustedFile(path); err != nil {
			t.Error(err)
		}
	}
	own := t.TempDir() + "/i3lock"
	if err := os.WriteFile(own, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 { // below /tmp, which everyone may write
		if _, err := trustedFile(own); err == nil {
			t.Error("a file below a directory that others may write is trusted")
		}
	}
	for _, path := range []string{"i3lock", "./i3lock", "/usr/bin", "/no/such/file", "", "/dev/null"} {
		if got, err := trustedFile(path); err == nil {
			t.Errorf("%q is trusted as %q", path, got)
		}
	}
}
