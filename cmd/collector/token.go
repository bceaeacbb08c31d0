package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"time"

	"stepaway/audit"
	"stepaway/cmdline"
	"stepaway/collector"
	"stepaway/uplink"
)

func token(ctx context.Context, args []string) error {
	fs := flags("token DEVICE", "Makes a one-time token and prints it, alone, on standard output. Whoever has it can enroll as DEVICE.")
	at := placeFlags(fs)
	address := fs.String("url", "", "`https://HOST:PORT` to put into the token")
	ttl := fs.Duration("ttl", 24*time.Hour, "how long the token may be used, at most 30 days")
	names, err := cmdline.Parse(fs, args, "DEVICE")
	if err != nil {
		return err
	}
	if *ttl <= 0 || *ttl > 30*24*time.Hour {
		return cmdline.Wrong(fs, "--ttl %v: want more than 0 and at most 720h", *ttl)
	}
	if u, err := url.Parse(*address); *address != "" && (err != nil || u.Scheme != "https" || u.Host == "") {
		return cmdline.Wrong(fs, "--url %q: want https://HOST:PORT", *address)
	}
	device := audit.Label(names[0])
	if err := uplink.CheckDevice(device); err != nil {
		return cmdline.Wrong(fs, "%v", err)
	}
	return withStore(ctx, at, func(a *collector.Authority, s *collector.Store) error {
		t, err := collector.NewToken(ctx, a, s, device, *address, *ttl, time.Now())
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "token for %s, to be used once within %v:\n", device, *ttl)
		fmt.Println(t)
		return nil
	})
}
