//go:build storeless

// Bare serves as stepaway-collector does, with no store behind it or with one of the real ones, and can say where its
// time goes. It is for measuring alone, and can only be built with the tag storeless.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"

	"stepaway/collector"
)

func main() {
	data := flag.String("data", "", "data `directory` of a collector")
	address := flag.String("listen", "127.0.0.1:0", "`address` to listen on")
	store := flag.String("store", "none", "none, sqlite, or the `URL` of a PostgreSQL database")
	profile := flag.String("profile", "", "`file` for a profile of the processor's time")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := serve(ctx, *data, *address, *store, *profile); err != nil {
		fmt.Fprintln(os.Stderr, "bare:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, data, address, store, profile string) error {
	a, err := collector.Load(data)
	if err != nil {
		return err
	}
	s, err := open(ctx, data, store)
	if err != nil {
		return err
	}
	defer s.Close()
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	if profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	log.Info("listening", "address", l.Addr().String())
	return collector.NewServer(a, s, log).Serve(ctx, l)
}

func open(ctx context.Context, data, store string) (*collector.Store, error) {
	switch store {
	case "none":
		return collector.OpenNothing(), nil
	case "sqlite":
		store = ""
	}
	return collector.Open(ctx, data, store)
}
