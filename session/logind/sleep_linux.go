package logind

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// Sleep is one word of logind: the machine is about to sleep, or is back.
type Sleep struct {
	Going bool
	Ready func() // lets the machine sleep, or says that the word was heard; may be called more than once, never blocks
}

// sleepAgain is how long after a lost connection the next one is made, at first and at most.
const (
	sleepAgain     = time.Second
	sleepAgainMost = 30 * time.Second
)

// Sleeps tells of every sleep that logind begins, before it begins: the machine waits until Ready was called, but not longer
// than logind's InhibitDelayMaxSec, 5 s by default. While there is no connection the machine sleeps without asking. It has
// a connection of its own, because the library passes descriptors only on those that it dialled itself. It ends with ctx.
func Sleeps(ctx context.Context, log *slog.Logger) <-chan Sleep {
	out := make(chan Sleep)
	go func() {
		defer close(out)
		for pause := sleepAgain; ctx.Err() == nil; pause = min(2*pause, sleepAgainMost) {
			began := time.Now()
			err := followSleep(ctx, out)
			if ctx.Err() != nil {
				return
			}
			if time.Since(began) > sleepAgainMost {
				pause = sleepAgain
			}
			log.Warn("the machine may sleep before it is locked; trying again", "in", pause, "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	}()
	return out
}

// followSleep holds an inhibitor whenever the machine is awake, and tells of sleep, until the connection or ctx ends.
func followSleep(ctx context.Context, out chan<- Sleep) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := dialForSleep(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	signals := make(chan *dbus.Signal, 16)
	conn.Signal(signals)
	held, err := inhibit(ctx, conn)
	if err != nil {
		return err
	}
	defer func() { held() }()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case s, ok := <-signals:
			if !ok {
				return ErrDown
			}
			going, known := prepares(s)
			if !known {
				continue
			}
			if !going {
				held()
				if held, err = inhibit(ctx, conn); err != nil {
					held = func() {}
					return err
				}
			}
			word := Sleep{Going: going, Ready: func() {}}
			if going {
				word.Ready = held
			}
			select {
			case out <- word:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// prepares reads the signal that logind sends before and after sleep.
func prepares(s *dbus.Signal) (going, known bool) {
	if s.Name != managed+"PrepareForSleep" || s.Path != busPath || len(s.Body) != 1 {
		return false, false
	}
	going, known = s.Body[0].(bool)
	return going, known
}

func dialForSleep(ctx context.Context) (*dbus.Conn, error) {
	conn, err := dbus.Dial("unix:path="+busSocket, dbus.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("connect to the system bus: %w", err)
	}
	limited, cancel := context.WithTimeout(ctx, 2*callLimit)
	defer cancel()
	stop := context.AfterFunc(limited, func() { conn.Close() }) // nothing else bounds the handshake
	err = conn.Auth(nil)
	if err == nil {
		err = conn.Hello()
	}
	if err == nil {
		err = conn.AddMatchSignalContext(limited, dbus.WithMatchSender(busName), dbus.WithMatchInterface(busName+".Manager"),
			dbus.WithMatchMember("PrepareForSleep"))
	}
	if err == nil && !stop() {
		err = limited.Err()
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("connect to the system bus: %w", err)
	}
	return conn, nil
}

// inhibit holds sleep up until the answer is called.
func inhibit(ctx context.Context, conn *dbus.Conn) (release func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	var fd dbus.UnixFD
	err = conn.Object(busName, busPath).CallWithContext(ctx, managed+"Inhibit", 0,
		"sleep", "Stepaway", "Sessions are locked before the machine sleeps", "delay").Store(&fd)
	if err != nil {
		return nil, fmt.Errorf("hold up sleep: %w", err)
	}
	return sync.OnceFunc(func() { unix.Close(int(fd)) }), nil
}
