package lock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"github.com/godbus/dbus/v5"

	"stepaway/session"
)

const (
	safePath = "/usr/local/bin:/usr/bin:/bin"
	systemd  = "org.freedesktop.systemd1"
	systemd1 = dbus.ObjectPath("/org/freedesktop/systemd1")
	units    = systemd + ".Manager."
)

// startFallback starts the locker that policy names, as the session's user and with a clean environment. systemd starts
// it where it can: then it runs without the limits put on this service, and lives on when this service ends.
func (c *climb) startFallback(ctx context.Context) (Code, func(context.Context) bool) {
	if len(c.w.Fallback) == 0 || !c.s.Kind.Graphical() && c.s.Display == "" {
		return Unavailable, nil
	}
	path, err := trustedFile(c.w.Fallback[0])
	if err != nil {
		code := c.failed("start the fallback", err)
		if errors.Is(err, errDistrusted) {
			code = Distrusted
		}
		return code, nil
	}
	argv := append([]string{path}, c.w.Fallback[1:]...)
	who, err := c.person()
	if err != nil {
		return c.failed("start the fallback", err), nil
	}
	if c.o.Root && c.o.Bus != nil {
		unit, err := c.startUnit(ctx, lockerUnit, argv, who)
		if err == nil {
			return "", func(ctx context.Context) bool { return c.unitEnded(ctx, unit) }
		}
		c.failed("start the fallback by systemd", err)
	}
	return c.startChild(argv, who)
}

// environment is all that the locker learns.
func (c *climb) environment(who *person) []string {
	env := []string{"PATH=" + safePath, "LANG=C.UTF-8", "HOME=" + who.home, "USER=" + c.s.User, "LOGNAME=" + c.s.User,
		"XDG_RUNTIME_DIR=" + runtimeDir(c.s), "XDG_SESSION_ID=" + c.s.ID, "XDG_SESSION_TYPE=" + string(c.s.Kind)}
	if address := c.busAddress(); address != "" {
		env = append(env, "DBUS_SESSION_BUS_ADDRESS="+address)
	}
	if name := c.fromSession("WAYLAND_DISPLAY", waylandName); c.s.Kind == session.Wayland && name != "" {
		env = append(env, "WAYLAND_DISPLAY="+name)
	}
	if hasX(c.s) {
		env = append(env, "DISPLAY="+c.s.Display)
		if file := cookieFile(c.s); file != "" {
			env = append(env, "XAUTHORITY="+file)
		}
	}
	return env
}

// lockerUnit is the name of the fallback locker's unit, without the session.
const lockerUnit = "locker"

// unitName names the systemd unit of a program that was started in a session.
func unitName(name string, s session.Session) string {
	id := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, s.ID)
	return "stepaway-" + name + "-" + id + ".service"
}

type unitProperty struct {
	Name  string
	Value dbus.Variant
}

type execStart struct {
	Path   string
	Args   []string
	Ignore bool
}

type auxiliary struct {
	Name       string
	Properties []unitProperty
}

// startUnit has systemd start a program in the user's slice.
func (c *climb) startUnit(ctx context.Context, name string, argv []string, who *person) (unit string, err error) {
	unit = unitName(name, c.s)
	uid := strconv.FormatUint(uint64(c.s.UID), 10)
	var p []unitProperty
	for name, value := range map[string]any{
		"Description": "Stepaway: " + name + " of session " + c.s.ID, "User": uid, "Slice": "user-" + uid + ".slice",
		"Type": "exec", "CollectMode": "inactive-or-failed", "KillMode": "control-group",
		"StandardInput": "null", "StandardOutput": "null", "StandardError": "null",
		"Environment": c.environment(who), "ExecStart": []execStart{{argv[0], argv, false}},
	} {
		p = append(p, unitProperty{name, dbus.MakeVariant(value)})
	}
	_, err = c.o.Bus.Call(ctx, systemd, systemd1, units+"StartTransientUnit", unit, "replace", p, []auxiliary{})
	if named(err, systemd+".UnitExists") { // one runs already: it may be that it has not come up yet
		return unit, nil
	}
	return unit, err
}

// unitEnded reports whether the locker's unit is gone.
func (c *climb) unitEnded(ctx context.Context, unit string) bool {
	_, err := c.o.Bus.Call(ctx, systemd, systemd1, units+"GetUnit", unit)
	return named(err, systemd+".NoSuchUnit")
}

// startChild starts the locker as a child of this process.
func (c *climb) startChild(argv []string, who *person) (Code, func(context.Context) bool) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = "/", c.environment(who)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who.credential, Setsid: true}
	if err := cmd.Start(); err != nil {
		return c.failed("start the fallback", err), nil
	}
	ended := make(chan struct{})
	go func() { // ends with the locker, which outlives this climb
		_ = cmd.Wait()
		close(ended)
	}()
	return "", func(context.Context) bool {
		select {
		case <-ended:
			return true
		default:
			return false
		}
	}
}

// cookieFile is the first of the session's cookie files that belongs to its user.
func cookieFile(s session.Session) string {
	for _, path := range cookieFiles(s) {
		info, err := os.Lstat(path)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid == s.UID {
			return path
		}
	}
	return ""
}

// Start starts a program in a session as its user, with the environment that a locker gets. name tells such programs
// of one session apart; while one of that name runs, none is started.
func (l *Ladder) Start(ctx context.Context, s session.Session, name string, argv []string) error {
	got := make(chan error, 1)
	if err := l.within(ctx, startLimit, "start "+name+" in "+s.ID, func() { got <- l.start(ctx, s, name, argv) }); err != nil {
		return fmt.Errorf("start %s in session %s: %w", name, s.ID, err)
	}
	return <-got
}

func (l *Ladder) start(ctx context.Context, s session.Session, name string, argv []string) error {
	c := &climb{Ladder: l, s: s}
	who, err := c.person()
	if err != nil {
		return fmt.Errorf("start %s in session %s: %w", name, s.ID, err)
	}
	if l.o.Root && l.o.Bus != nil {
		if _, err := c.startUnit(ctx, name, argv, who); err == nil {
			return nil
		}
	}
	if code, _ := c.startChild(argv, who); code != "" {
		return fmt.Errorf("start %s in session %s: %s", name, s.ID, code)
	}
	return nil
}
