package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"stepaway/cmdline"
	"stepaway/collector"
)

func verify(ctx context.Context, args []string) error {
	fs := flags("verify", "Computes every hash again from what is stored, and checks that each chain is whole. Exit 1 if anything is\nwrong.")
	at := placeFlags(fs)
	asJSON := fs.Bool("json", false, "print JSON")
	if _, err := cmdline.Parse(fs, args); err != nil {
		return err
	}
	var v collector.Verified
	err := withStore(ctx, at, func(a *collector.Authority, s *collector.Store) (err error) {
		v, err = collector.Verify(ctx, s, a.AckKey.Public().(ed25519.PublicKey))
		return err
	})
	if err != nil {
		return err
	}
	if *asJSON {
		if err := json.NewEncoder(os.Stdout).Encode(v); err != nil {
			return err
		}
	} else {
		printVerified(v)
	}
	if n := len(v.Findings); n > 0 {
		return fmt.Errorf("%d findings in %d events", n, v.Events)
	}
	return nil
}

func printVerified(v collector.Verified) {
	for _, e := range v.Epochs {
		fmt.Printf("%-24s epoch %s: %d to %d, %d events\n", e.Device, e.Epoch, e.From, e.To, e.Events)
	}
	for _, r := range v.Removed {
		fmt.Printf("%-24s epoch %s: %d to %d, %d events removed on %s by rule: %s\n", r.Device, r.Epoch, r.First, r.Last, r.Count,
			r.At.Format(time.DateOnly), r.Rule)
	}
	for _, f := range v.Findings {
		fmt.Printf("%-24s epoch %s: %d to %d: %s: %s\n", f.Device, f.Epoch, f.From, f.To, f.Code, f.Detail)
	}
	if len(v.Findings) == 0 {
		fmt.Printf("%d events, every one as it came and none missing\n", v.Events)
	}
}
