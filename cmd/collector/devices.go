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

// listed is one device as `devices` shows it.
type listed struct {
	collector.Device
	collector.Identity
}

func devices(ctx context.Context, args []string) error {
	fs := flags("devices", "Lists the devices: what is held of each, its certificates, whether it was revoked or seen in two places.")
	at := placeFlags(fs)
	asJSON := fs.Bool("json", false, "print one JSON object a line")
	if _, err := cmdline.Parse(fs, args); err != nil {
		return err
	}
	return withStore(ctx, at, func(_ *collector.Authority, s *collector.Store) error {
		all, err := listAll(ctx, s)
		if err != nil {
			return err
		}
		out := json.NewEncoder(os.Stdout)
		for _, d := range all {
			if *asJSON {
				if err := out.Encode(d); err != nil {
					return err
				}
				continue
			}
			d.print()
		}
		return nil
	})
}

func listAll(ctx context.Context, s *collector.Store) (all []listed, err error) {
	err = s.View(ctx, func(v *collector.View) error {
		ds, err := v.Devices()
		if err != nil {
			return err
		}
		ids, err := v.Identities(time.Now())
		for _, d := range ds {
			all = append(all, listed{d, ids[d.Name]})
		}
		return err
	})
	return all, err
}

func (d listed) print() {
	seen := "never"
	if !d.Seen.IsZero() {
		seen = d.Seen.Format(time.RFC3339)
	}
	fmt.Printf("%-24s enrolled %s, last events %s\n", d.Name, d.Enrolled.Format(time.RFC3339), seen)
	if !d.Revoked.IsZero() {
		fmt.Printf("  REVOKED %s\n", d.Revoked.Format(time.RFC3339))
	}
	if !d.Shared.IsZero() {
		fmt.Printf("  SEEN IN TWO PLACES, last %s: was its key copied?\n", d.Shared.Format(time.RFC3339))
	}
	for _, c := range d.Certificates {
		fmt.Printf("  certificate %.16s until %s%s\n", c.ID, c.Until.Format(time.DateOnly), certificateWord(c))
	}
	for _, e := range d.Epochs {
		fmt.Printf("  epoch %s: %d to %d\n", e.Name, e.First, e.Last)
	}
}

func certificateWord(c collector.Certificate) string {
	switch {
	case !c.Revoked.IsZero():
		return ", revoked"
	case c.Used.IsZero():
		return ", never used"
	}
	return ""
}
