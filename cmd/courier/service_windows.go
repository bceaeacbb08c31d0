package main

import (
	"context"
	"log/slog"
	"os"

	"stepaway/cmdline"
	"stepaway/journal"
	"stepaway/packaging"
	"stepaway/scm"
)

func runService(_ context.Context, args []string) error {
	f := flags(packaging.ServiceVerb, "Keeps and carries events as the service "+packaging.CourierService+". Only the service manager can start it; in front it is `run`.")
	at := runFlags(f)
	if _, err := cmdline.Parse(f, args); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil)) // which a service manager throws away
	if events, err := journal.Open(packaging.EventSource); err == nil {
		log = slog.New(journal.EventHandler{Log: events})
		defer events.Flush()
	}
	return scm.Run(packaging.CourierService, func(ctx context.Context, ready func()) error {
		r := at(log)
		r.tell = ready
		err := r.rounds(ctx)
		if err != nil {
			log.Error("cannot start", "error", err)
		}
		return err
	})
}
