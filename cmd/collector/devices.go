package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"stepaway/cmdline"
	"stepaway/collector"
)

func devices(ctx context.Context, args []string) error {
	fs := flags("devices", "Lists the devices and what is held of each.")
	at := placeFlags(fs)
	asJSON := fs.Bool("json", false, "print one JSON object a line")
	if _, err := cmdline.Parse(fs, args); err != nil {
		return err
	}
	return withStore(ctx, at, func(_ *collector.Authority, s *collector.Store) error {
		var ds []collector.Device
		err := s.View(ctx, func(v *collector.View) (err error) { ds, err = v.Devices(); return err })
		if err != nil {
			return err
		}
		out := json.NewEncoder(os.Stdout)
		for _, d := range ds {
			if *asJSON {
				if err := out.Encode(d); err != nil {
					return err
				}
				continue
			}
			printDevice(d)
		}
		return nil
	})
}

func printDevice(d collector.Device) {
	seen := "never"
	if !d.Seen.IsZero() {
		seen = d.Seen.Format(time.RFC3339)
	}
	fmt.Printf("%-24s enrolled %s, last events %s\n", d.Name, d.Enrolled.Format(time.RFC3339), seen)
	for _, e := range d.Epochs {
		fmt.Printf("  epoch %s: %d to %d\n", e.Name, e.First, e.Last)
	}
}
