package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"stepaway/cmdline"
	"stepaway/collector"
)

func reportVerb(ctx context.Context, args []string) error {
	fs := flags("report", "Sums up by device: events by type, locks without proof, events that the device says were lost, and devices\nthat were seen in two places. What the collector did itself is under the device "+string(collector.Own)+".")
	at := placeFlags(fs)
	asJSON := fs.Bool("json", false, "print one JSON object a line")
	since := fs.String("since", "", "only what was received since this `time`: 2006-01-02, RFC 3339, or a duration such as 24h ago")
	if _, err := cmdline.Parse(fs, args); err != nil {
		return err
	}
	from, err := parseSince(*since, time.Now())
	if err != nil {
		return cmdline.Wrong(fs, "%v", err)
	}
	return withStore(ctx, at, func(_ *collector.Authority, s *collector.Store) error {
		all, err := collector.Report(ctx, s, from)
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
			printSummary(d)
		}
		return nil
	})
}

func printSummary(d collector.Summary) {
	fmt.Printf("%s: %d events", d.Device, d.Events)
	if d.Events > 0 {
		fmt.Printf(", received %s to %s", d.First.Format(time.RFC3339), d.Last.Format(time.RFC3339))
	}
	fmt.Printf("\n  locks without proof %d, events lost %d, forks %d\n", d.Unproved, d.Gaps, d.Forks)
	if d.Shared > 0 {
		fmt.Printf("  SEEN IN TWO PLACES %d times: was its key copied? see stepaway-collector events --device %s\n", d.Shared, collector.Own)
	}
	for _, t := range slices.Sorted(maps.Keys(d.Types)) {
		fmt.Printf("  %-20s %d\n", t, d.Types[t])
	}
}
