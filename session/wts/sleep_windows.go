package wts

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/windows"
)

const deviceNotifyCallback = 2 // DEVICE_NOTIFY_CALLBACK

// heldFor is how long sleep is held up at most. By the documentation of PBT_APMSUSPEND a program has about two seconds.
const heldFor = 1800 * time.Millisecond

// hearers are told of power broadcasts. There is one callback because Windows lets a Go program make only so many.
var hearers struct {
	mu  sync.Mutex
	all map[*hearer]bool
}

type hearer struct{ out chan Sleep }

var powerCallback = sync.OnceValue(func() uintptr {
	return windows.NewCallback(func(_ uintptr, event uint32, _ uintptr) uintptr {
		if going, known := prepares(event); known {
			tell(going)
		}
		return 0
	})
})

// tell passes a word on, and on the way to sleep waits until everyone is ready, but not for long.
func tell(going bool) {
	t := time.NewTimer(heldFor)
	defer t.Stop()
	hearers.mu.Lock()
	var waits []<-chan struct{}
	for h := range hearers.all {
		ready := make(chan struct{})
		word := Sleep{Going: going, Ready: sync.OnceFunc(func() { close(ready) })}
		select {
		case h.out <- word:
			if going {
				waits = append(waits, ready)
			}
		default: // whoever does not take a word does not hold up sleep
		}
	}
	hearers.mu.Unlock()
	for _, ready := range waits {
		select {
		case <-ready:
		case <-t.C:
			return
		}
	}
}

// Sleeps tells of every suspend before it, and of every resume after it. A machine that suspends waits until Ready was called, but
// not longer than 1.8 s. Standby with the processor running (modern standby) is told as Windows pleases, if at all: what is
// overdue is seen on resume. It ends with ctx.
func Sleeps(ctx context.Context, log *slog.Logger) <-chan Sleep {
	h := &hearer{out: make(chan Sleep, 4)}
	out := make(chan Sleep)
	go func() {
		defer close(out)
		unregister, err := hear(h)
		if err != nil {
			log.Warn("the machine may sleep before it is locked", "error", err)
			return
		}
		defer unregister()
		for {
			select {
			case <-ctx.Done():
				return
			case s := <-h.out:
				select {
				case out <- s:
				case <-ctx.Done():
					s.Ready()
					return
				}
			}
		}
	}()
	return out
}

// hear registers a hearer.
func hear(h *hearer) (unregister func(), err error) {
	var handle windows.Handle
	recipient := &deviceNotifySubscribeParameters{callback: powerCallback()}
	if err := powerRegisterSuspendResumeNotification(deviceNotifyCallback, recipient, &handle); err != nil {
		return nil, fmt.Errorf("ask to hear of sleep: %w", err)
	}
	hearers.mu.Lock()
	defer hearers.mu.Unlock()
	if hearers.all == nil {
		hearers.all = map[*hearer]bool{}
	}
	hearers.all[h] = true
	return func() {
		hearers.mu.Lock()
		delete(hearers.all, h)
		hearers.mu.Unlock()
		_ = powerUnregisterSuspendResumeNotification(handle) // nobody hears it any more anyway
		runtime.KeepAlive(recipient)
	}, nil
}
