package scm

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/windows/svc"
)

// Power says what a service heard of the machine's sleep.
type Power bool

// What a machine does.
const (
	Suspends Power = true
	Resumes  Power = false
)

// Told is what a service hears and says while it runs.
type Told struct {
	Ready    func()          // the service does its work now; to be called once
	Sessions <-chan struct{} // a hint that somebody logged on or off, locked, connected or left
	Power    <-chan Power    // the newest word
}

// stopsWithin is what the service manager is told of how long an end takes.
const stopsWithin = 20 * time.Second

// Run is the service of that name until it is told to stop, or until work ends. Only a process that the service manager
// started can run it.
func Run(name string, work func(ctx context.Context, told Told) error) error {
	h := &handler{work: work}
	if err := svc.Run(name, h); err != nil {
		return fmt.Errorf("run as the service %s, which only the service manager can start: %w", name, err)
	}
	return h.err
}

type handler struct {
	work func(context.Context, Told) error
	err  error
}

// accepts is what the service wants to hear: of a shutdown early, before other services end.
const accepts = svc.AcceptStop | svc.AcceptPreShutdown | svc.AcceptSessionChange | svc.AcceptPowerEvent

// Execute implements svc.Handler.
func (h *handler) Execute(_ []string, controls <-chan svc.ChangeRequest, says chan<- svc.Status) (specific bool, code uint32) {
	says <- svc.Status{State: svc.StartPending, WaitHint: uint32(stopsWithin.Milliseconds())}
	ctx, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	ready, sessions, power, done := make(chan struct{}, 1), make(chan struct{}, 1), make(chan Power, 1), make(chan error, 1)
	go func() {
		done <- h.work(ctx, Told{Ready: func() { hint(ready) }, Sessions: sessions, Power: power})
	}()
	for {
		select {
		case <-ready:
			if ctx.Err() == nil {
				says <- svc.Status{State: svc.Running, Accepts: accepts}
			}
		case h.err = <-done:
			return true, codeOf(ctx, h.err)
		case c := <-controls:
			switch c.Cmd {
			case svc.Interrogate:
				says <- c.CurrentStatus
			case svc.Stop:
				says <- svc.Status{State: svc.StopPending, WaitHint: uint32(stopsWithin.Milliseconds())}
				stop(ErrStopped)
			case svc.Shutdown, svc.PreShutdown:
				says <- svc.Status{State: svc.StopPending, WaitHint: uint32(stopsWithin.Milliseconds())}
				stop(ErrShutdown)
			case svc.SessionChange:
				hint(sessions)
			case svc.PowerEvent:
				powerEvent(power, c.EventType)
			}
		}
	}
}

// codeOf is the exit code: none for what was asked to end and did, another for what ended by itself or with an error.
func codeOf(ctx context.Context, err error) uint32 {
	if ctx.Err() != nil && err == nil {
		return 0
	}
	return 1
}

func hint(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Words of sleep, as in the documentation of WM_POWERBROADCAST.
const (
	PBT_APMSUSPEND         = 0x4
	PBT_APMRESUMESUSPEND   = 0x7
	PBT_APMRESUMEAUTOMATIC = 0x12
)

// powerEvent passes on the newest word of sleep.
func powerEvent(c chan Power, kind uint32) {
	var p Power
	switch kind {
	case PBT_APMSUSPEND:
		p = Suspends
	case PBT_APMRESUMEAUTOMATIC, PBT_APMRESUMESUSPEND:
		p = Resumes
	default:
		return
	}
	for {
		select {
		case c <- p:
			return
		default:
		}
		select {
		case <-c:
		default:
		}
	}
}
