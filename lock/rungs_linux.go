package lock

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/godbus/dbus/v5"

	"stepaway/proc"
	"stepaway/session"
)

// codeOf names an error of a request.
func codeOf(err error) Code {
	var answer dbus.Error
	switch {
	case err == nil:
		return ""
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return Timeout
	case errors.As(err, &answer):
		switch answer.Name {
		case "org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner",
			"org.freedesktop.DBus.Error.UnknownObject":
			return Unavailable
		case "org.freedesktop.DBus.Error.NoReply", "org.freedesktop.DBus.Error.TimedOut":
			return Timeout
		}
		return Denied
	}
	return Unavailable
}

// askLogind has logind tell the session to lock itself. That succeeds also when nobody listens.
func (c *climb) askLogind(ctx context.Context) (Code, func(context.Context) bool) {
	return c.call(ctx, ".Manager.LockSession", c.s.ID), nil
}

// call calls a method of logind.
func (c *climb) call(ctx context.Context, method string, args ...any) Code {
	if c.o.Bus == nil {
		return Unavailable
	}
	_, err := c.o.Bus.Call(ctx, login1, login1Path, login1+method, args...)
	return c.failed(method, err)
}

// terminate ends the session: politely, and by force in the middle of the wait. Where logind does not do it, the
// processes of the session's control group are ended one by one.
func (c *climb) terminate(ctx context.Context) (Code, func(context.Context) bool) {
	if c.o.Bus == nil && !c.o.Root {
		return c.hangUp()
	}
	force := func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), askWithin)
		defer cancel()
		if c.call(stopping, ".Manager.KillSession", c.s.ID, "all", int32(syscall.SIGKILL)) != "" {
			c.signalScope(syscall.SIGKILL)
		}
	}
	if code := c.call(ctx, ".Manager.TerminateSession", c.s.ID); code != "" && !c.signalScope(syscall.SIGTERM) {
		return code, nil
	}
	return "", c.afterwards(endWait/2, force)
}

// signalScope signals every process in the session's control group; false if there is none to be found.
func (c *climb) signalScope(sig syscall.Signal) bool {
	pids, err := proc.InGroup(c.s.Scope)
	if err != nil || !c.o.Root {
		return false
	}
	some := false
	for _, pid := range pids {
		p, err := proc.Pin(pid)
		if err != nil {
			continue
		}
		if in := p.Group; pid > 1 && pid != os.Getpid() && (in == c.s.Scope || strings.HasPrefix(in, c.s.Scope+"/")) {
			some = p.Signal(sig) == nil || some
		}
		p.Close()
	}
	return some
}

// afterwards returns a check that never gives up hope, and does something once when called after the wait.
func (c *climb) afterwards(wait time.Duration, do func()) func(context.Context) bool {
	due, done := time.Now().Add(wait), false
	return func(context.Context) bool {
		if !done && time.Now().After(due) {
			done = true
			do()
		}
		return false
	}
}

// hangUp ends the caller's own session without logind: the process that opened it is told that its terminal is gone,
// and ended if that does not impress it.
func (c *climb) hangUp() (Code, func(context.Context) bool) {
	if c.s.Leader <= 1 {
		return Unavailable, nil
	}
	p, err := proc.Pin(c.s.Leader)
	if err != nil {
		return codeOf(err), nil
	}
	defer p.Close()
	if p.UID != c.s.UID {
		return Denied, nil
	}
	if err := p.Signal(syscall.SIGHUP); err != nil {
		return c.failed("hang up", err), nil
	}
	same := p.Process
	return "", c.afterwards(endWait/2, func() {
		if p, err := proc.Pin(same.PID); err == nil {
			if p.Same(same) {
				_ = p.Signal(syscall.SIGKILL)
			}
			p.Close()
		}
	})
}

const (
	lightdm     = "org.freedesktop.DisplayManager"
	lightdmPath = dbus.ObjectPath("/org/freedesktop/DisplayManager")
	gdm         = "org.gnome.DisplayManager"
	gdmFactory  = dbus.ObjectPath("/org/gnome/DisplayManager/LocalDisplayFactory")
	getProperty = "org.freedesktop.DBus.Properties.Get"
)

// switchToGreeter brings a greeter in front on the session's seat: through LightDM, through GDM, or one that is there.
func (c *climb) switchToGreeter(ctx context.Context) (Code, func(context.Context) bool) {
	if c.o.Bus == nil || !c.o.Root || c.s.Seat == "" {
		return Unavailable, nil
	}
	code := Unavailable
	for _, ask := range []func(context.Context) error{c.askLightDM, c.activateGreeter, c.askGDM} {
		err := ask(ctx)
		if err == nil {
			return "", nil
		}
		if got := codeOf(err); got != Unavailable {
			code = c.failed("switch to the greeter", err)
		}
	}
	return code, nil
}

var errNone = errors.New("there is none")

// askLightDM switches the seat of LightDM on which the user is logged on.
func (c *climb) askLightDM(ctx context.Context) error {
	var seats []dbus.ObjectPath
	if err := c.property(ctx, lightdmPath, lightdm, "Seats", &seats); err != nil {
		return err
	}
	for _, seat := range seats {
		if c.isOn(ctx, seat) {
			_, err := c.o.Bus.Call(ctx, lightdm, seat, lightdm+".Seat.SwitchToGreeter")
			return err
		}
	}
	return errNone
}

// isOn reports whether one of the sessions on LightDM's seat is the user's.
func (c *climb) isOn(ctx context.Context, seat dbus.ObjectPath) bool {
	var sessions []dbus.ObjectPath
	if err := c.property(ctx, seat, lightdm+".Seat", "Sessions", &sessions); err != nil {
		return false
	}
	for _, path := range sessions {
		var name string
		if err := c.property(ctx, path, lightdm+".Session", "UserName", &name); err == nil && name == c.s.User {
			return true
		}
	}
	return false
}

func (c *climb) property(ctx context.Context, path dbus.ObjectPath, iface, name string, into any) error {
	body, err := c.o.Bus.Call(ctx, lightdm, path, getProperty, iface, name)
	if err != nil {
		return err
	}
	var v dbus.Variant
	if err := dbus.Store(body, &v); err != nil {
		return err
	}
	return dbus.Store([]any{v.Value()}, into)
}

// askGDM has GDM start a greeter on its seat, seat0.
func (c *climb) askGDM(ctx context.Context) error {
	if c.s.Seat != "seat0" {
		return errNone
	}
	_, err := c.o.Bus.Call(ctx, gdm, gdmFactory, gdm+".LocalDisplayFactory.CreateTransientDisplay")
	return err
}

// activateGreeter brings a greeter in front that already waits on the seat.
func (c *climb) activateGreeter(ctx context.Context) error {
	body, err := c.o.Bus.Call(ctx, login1, login1Path, login1+".Manager.ListSessions")
	if err != nil {
		return err
	}
	var rows []struct {
		ID   string
		UID  uint32
		User string
		Seat string
		Path dbus.ObjectPath
	}
	if err := dbus.Store(body, &rows); err != nil {
		return err
	}
	for _, row := range rows {
		if row.Seat != c.s.Seat || row.ID == c.s.ID {
			continue
		}
		if f, err := c.describe(ctx, row.ID, row.Path); err == nil && f.isGreeter(c.s) {
			_, err := c.o.Bus.Call(ctx, login1, login1Path, login1+".Manager.ActivateSession", row.ID)
			return err
		}
	}
	return errNone
}

// hasX reports whether the session can show a locker for X.
func hasX(s session.Session) bool { return s.Kind != session.Wayland && s.Display != "" }
