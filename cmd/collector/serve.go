package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"

	"stepaway/cmdline"
	"stepaway/collector"
	"stepaway/sdnotify"
)

func serve(ctx context.Context, args []string) error {
	fs := flags("serve", "Takes events from couriers until it is told to stop.")
	dir := dataFlag(fs)
	address := fs.String("listen", "127.0.0.1:8443", "`address` to listen on; :8443 for every interface")
	store := fs.String("store", "", "`where` events are kept; the data directory unless given")
	if _, err := cmdline.Parse(fs, args); err != nil {
		return err
	}
	if *store != "" {
		return cmdline.Wrong(fs, "--store %.20q: other stores are not in this release; leave --store away to keep events in the data directory", *store)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	return withStore(*dir, func(a *collector.Authority, s collector.Store) error {
		l, err := net.Listen("tcp", *address)
		if err != nil {
			return fmt.Errorf("%w; choose another address with --listen", err)
		}
		log.Info("listening", "address", l.Addr().String())
		if _, err := sdnotify.Send(sdnotify.Ready); err != nil {
			log.Warn("service manager not told", "err", err)
		}
		return collector.NewServer(a, s, log).Serve(ctx, l)
	})
}
