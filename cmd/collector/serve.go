package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"stepaway/cmdline"
	"stepaway/collector"
	"stepaway/sdnotify"
)

func serve(ctx context.Context, args []string) error {
	fs := flags("serve", "Takes events from couriers until it is told to stop.")
	at := placeFlags(fs)
	address := fs.String("listen", "127.0.0.1:8443", "`address` to listen on; :8443 for every interface")
	sinks := sinksFlag(fs)
	keep := fs.String("retain", collector.DefaultRetention, "how long events are kept, such as 6y, 90d or 52560h, or forever; they leave by whole months")
	var pki collector.PKI
	fs.StringVar(&pki.Cert, "cert", "", "`file` with a server certificate of the site's own PKI, and what leads to its CA; read again when it changes")
	fs.StringVar(&pki.Key, "key", "", "`file` with its key, closed to all but root and this account")
	fs.StringVar(&pki.ClientCA, "client-ca", "", "`file` with CAs of the site whose certificates devices may show, beside this collector's own")
	fs.DurationVar(&pki.Grace, "grace", 30*24*time.Hour, "how long after its end a certificate of this collector may still be renewed")
	if _, err := cmdline.Parse(fs, args); err != nil {
		return err
	}
	if (pki.Cert == "") != (pki.Key == "") {
		return cmdline.Wrong(fs, "--cert and --key go together")
	}
	if pki.Grace <= 0 || pki.Grace > 365*24*time.Hour {
		return cmdline.Wrong(fs, "--grace %v: want more than 0 and at most 8760h", pki.Grace)
	}
	rule, err := collector.ParseRetention(*keep)
	if err != nil {
		return cmdline.Wrong(fs, "--retain %v", err)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	return withStore(ctx, at, func(a *collector.Authority, s *collector.Store) error {
		group, err := sinksOf(*sinks, at, s, log)
		if err != nil {
			return err
		}
		server := collector.NewServer(a, s, log)
		server.PKI = pki
		if group != nil {
			server.Taken = group.Wake
		}
		if err := server.Check(); err != nil {
			return err
		}
		l, err := net.Listen("tcp", *address)
		if err != nil {
			return fmt.Errorf("%w; choose another address with --listen", err)
		}
		log.Info("listening", "address", l.Addr().String())
		if _, err := sdnotify.Send(sdnotify.Ready); err != nil {
			log.Warn("service manager not told", "err", err)
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var beside sync.WaitGroup
		defer beside.Wait()
		if group != nil {
			beside.Go(func() { group.Run(ctx) })
		}
		beside.Go(func() { s.KeepRetention(ctx, a, rule, log) })
		defer cancel()
		return server.Serve(ctx, l)
	})
}
