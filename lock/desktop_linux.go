package lock

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/user"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"time"

	"stepaway/proc"
	"stepaway/session"
)

// savers are the names under which desktops take a request to lock: bus name and interface, path, arguments.
var savers = [][]string{
	{"org.freedesktop.ScreenSaver", "/ScreenSaver", "Lock"},
	{"org.freedesktop.ScreenSaver", "/org/freedesktop/ScreenSaver", "Lock"},
	{"org.gnome.ScreenSaver", "/org/gnome/ScreenSaver", "Lock"},
	{"org.xfce.ScreenSaver", "/org/xfce/ScreenSaver", "Lock"},
	{"org.xfce.ScreenSaver", "/", "Lock"},
	{"org.mate.ScreenSaver", "/", "Lock"},
	{"org.cinnamon.ScreenSaver", "/org/cinnamon/ScreenSaver", "Lock", "s", ""},
}

const (
	busctl     = "/usr/bin/busctl" // comes with systemd, as logind does
	saverLimit = time.Second       // for one of them to answer
)

// askDesktop tells the desktop's screen saver to lock, under every name there is. The user's bus is the user's to replace,
// so this process does not read a byte from it: a child that runs as the user does, and only its success counts.
func (c *climb) askDesktop(ctx context.Context) (Code, func(context.Context) bool) {
	who, err := c.person()
	if err != nil {
		return c.failed("find out who the user is", err), nil
	}
	address := c.busAddress()
	if address == "" || !c.s.Kind.Graphical() {
		return Unavailable, nil
	}
	ctx, cancel := context.WithTimeout(ctx, saverLimit+saverLimit/2)
	defer cancel()
	answers := make(chan error, len(savers))
	var asked sync.WaitGroup
	for _, saver := range savers {
		asked.Go(func() { answers <- askSaver(ctx, who, address, saver) })
	}
	asked.Wait()
	close(answers)
	for err := range answers {
		if err == nil {
			return "", nil
		}
	}
	return Unavailable, nil
}

func askSaver(ctx context.Context, who *person, address string, saver []string) error {
	args := append([]string{"--address=" + address, "--timeout=1", "--auto-start=no", "call", saver[0], saver[1], saver[0]}, saver[2:]...)
	cmd := exec.CommandContext(ctx, busctl, args...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = "/", []string{"PATH=" + safePath, "LANG=C.UTF-8"}, saverLimit
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who.credential, Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return cmd.Run()
}

var (
	localBus    = regexp.MustCompile(`^unix:(path|abstract)=[A-Za-z0-9/_.-]{1,100}(,guid=[0-9a-f]{1,64})?$`)
	waylandName = regexp.MustCompile(`^wayland-[0-9]{1,4}$`)
)

// busAddress is the address of the session's bus: the user's own, or the one that a process of the session was given.
func (c *climb) busAddress() string {
	path := runtimeDir(c.s) + "/bus"
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == os.ModeSocket {
		return "unix:path=" + path
	}
	return c.fromSession("DBUS_SESSION_BUS_ADDRESS", localBus)
}

// fromSession returns a variable that a process of the session was started with, if it has the form.
func (c *climb) fromSession(name string, form *regexp.Regexp) string {
	pids := members(c.s)
	for _, pid := range pids[:min(len(pids), 512)] {
		if p, err := proc.Read(pid); err != nil || p.UID != c.s.UID {
			continue
		}
		if v := proc.Env(pid, name); form.MatchString(v) {
			return v
		}
	}
	return ""
}

func runtimeDir(s session.Session) string {
	return "/run/user/" + strconv.FormatUint(uint64(s.UID), 10)
}

// person is what it takes to act as the session's user.
type person struct {
	home       string
	credential *syscall.Credential // nil: already is that user
}

var errOther = errors.New("it is another user's session")

// person finds account and groups: from the account files, or from a process of the session where the account is in a
// directory.
func (c *climb) person() (*person, error) {
	who := &person{home: "/"}
	ids := c.groupIDs()
	if u, err := user.LookupId(strconv.FormatUint(uint64(c.s.UID), 10)); err == nil {
		who.home = u.HomeDir
		if gid, err := strconv.ParseUint(u.Gid, 10, 32); err == nil && len(ids) == 0 {
			ids = []uint32{uint32(gid)}
		}
	}
	if !c.o.Root {
		if c.s.UID != uint32(os.Getuid()) {
			return nil, errOther
		}
		return who, nil
	}
	if len(ids) == 0 {
		return nil, errors.New("no group of the user is known")
	}
	who.credential = &syscall.Credential{Uid: c.s.UID, Gid: ids[0], Groups: ids}
	return who, nil
}

// groupIDs are those of the first process of the session that runs as its user.
func (c *climb) groupIDs() []uint32 {
	pids := members(c.s)
	for _, pid := range pids[:min(len(pids), 512)] {
		if p, err := proc.Read(pid); err != nil || p.UID != c.s.UID {
			continue
		}
		if ids, err := proc.GroupIDs(pid); err == nil {
			return ids
		}
	}
	return nil
}
