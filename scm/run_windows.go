package scm

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/windows/svc"
)

// stopsWithin is what the service manager is told of how long an end takes.
const stopsWithin = 20 * time.Second

// Run is the service of that name until it is told to stop, or until work ends. work calls ready once it does what the service is
// for. Only a process that the service manager started can run it.
func Run(name string, work func(ctx context.Context, ready func()) error) error {
	h := &handler{work: work}
	if err := svc.Run(name, h); err != nil {
		return fmt.Errorf("run as the service %s, which only the service manager can start: %w", name, err)
	}
	return h.err
}

type handler struct {
	work func(ctx context.Context, ready func()) error
	err  error
}

// accepts is what the service wants to hear: of a shutdown early, before other services end.
const accepts = svc.AcceptStop | svc.AcceptPreShutdown

// Execute implements svc.Handler.
func (h *handler) Execute(_ []string, controls <-chan svc.ChangeRequest, says chan<- svc.Status) (specific bool, code uint32) {
	says <- svc.Status{State: svc.StartPending, WaitHint: uint32(stopsWithin.Milliseconds())}
	ctx, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- h.work(ctx, sync.OnceFunc(func() { close(ready) })) }()
	for {
		select {
		case <-ready:
			ready = nil
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
