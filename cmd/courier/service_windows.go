package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"stepaway/cmdline"
	"stepaway/journal"
	"stepaway/packaging"
	"stepaway/scm"
)

// lastWords is how long a courier that is stopped goes on to deliver: the agent, which is stopped before it when both are removed,
// has just told of its own end.
const lastWords = 5 * time.Second

// delivered waits until the collector has what is in the spool, if there is one.
func (r *running) delivered(within time.Duration) {
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		s := r.sending.Load()
		if s == nil {
			return
		}
		if st := s.State(); st.Acked >= st.Head {
			return
		}
	}
}

// memory is what the courier holds at most before it looks for what it can give back, in bytes; as the unit for systemd says.
const memory = 96 << 20

func runService(_ context.Context, args []string) error {
	f := flags(packaging.ServiceVerb, "Keeps and carries events as the service "+packaging.CourierService+". Only the service manager can start it; in front it is `run`.")
	at := runFlags(f)
	if _, err := cmdline.Parse(f, args); err != nil {
		return err
	}
	debug.SetMemoryLimit(memory)
	log := slog.New(slog.NewTextHandler(os.Stderr, nil)) // which a service manager throws away
	if events, err := journal.Open(packaging.EventSource); err == nil {
		log = slog.New(journal.EventHandler{Log: events})
		defer events.Flush()
	}
	return scm.Run(packaging.CourierService, func(ctx context.Context, ready func()) error {
		r := at(log)
		r.tell = ready
		work, end := context.WithCancel(context.WithoutCancel(ctx))
		defer end()
		stopped := context.AfterFunc(ctx, func() {
			if errors.Is(context.Cause(ctx), scm.ErrStopped) {
				r.delivered(lastWords)
			}
			end()
		})
		defer stopped()
		err := r.rounds(work)
		if err != nil {
			log.Error("cannot start", "error", err)
		}
		return err
	})
}
