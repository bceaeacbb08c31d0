package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"time"

	"stepaway/cmdline"
	"stepaway/courier"
	"stepaway/uplink"
)

func enroll(_ context.Context, args []string) error {
	fl := flags("enroll", "Shows a one-time token, which `stepaway-collector token` printed, to the collector and keeps the\ncertificate it gets. A running courier takes it up by itself.")
	dir := stateFlag(fl)
	address := fl.String("collector", "", "`https://HOST:PORT` of the collector; may be left out if the token has it")
	text := fl.String("token", "", "the `token`")
	timeout := fl.Duration("timeout", 30*time.Second, "how long to try")
	if _, err := cmdline.Parse(fl, args); err != nil {
		return err
	}
	if *text == "" {
		return cmdline.Wrong(fl, "--token is missing")
	}
	t, err := uplink.ParseToken(*text)
	if err != nil {
		return cmdline.Wrong(fl, "--token: %v; it begins with sa1. and is the last line of `stepaway-collector token DEVICE`", err)
	}
	switch {
	case *address == "" && t.URL == "":
		return cmdline.Wrong(fl, "--collector is missing, and the token does not name one")
	case *address == "":
		*address = t.URL
	case t.URL != "" && t.URL != *address:
		return cmdline.Wrong(fl, "--collector %s contradicts the token, which is for %s", *address, t.URL)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	s := state(*dir)
	if err := os.MkdirAll(*dir, 0o700); err != nil {
		return fmt.Errorf("make the courier's directory: %w", err)
	}
	device, err := courier.Enroll(ctx, s.identity(), *address, t, *timeout)
	if err != nil {
		return err
	}
	if err := giveAway(s.identity()); err != nil {
		return fmt.Errorf("enrolled, but the courier's account cannot read it: %w", err)
	}
	fmt.Printf("enrolled as %s at %s\n", device, *address)
	return nil
}
