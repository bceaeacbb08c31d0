package main

import (
	"context"
	"fmt"
	"time"

	"stepaway/cmdline"
	"stepaway/collector"
)

func retain(ctx context.Context, args []string) error {
	fs := flags("retain", "Removes events by whole months of receipt once they were kept for long enough, as `serve` does once a day, and\n"+
		"leaves a signed record of what was removed, which `verify` reads.")
	at := placeFlags(fs)
	keep := fs.String("retain", collector.DefaultRetention, "how long events are kept, such as 6y, 90d or 52560h, or forever")
	dry := fs.Bool("dry-run", false, "only print what would be removed")
	sure := fs.Bool("clock-is-right", false, "remove although months went by without any event")
	if _, err := cmdline.Parse(fs, args); err != nil {
		return err
	}
	rule, err := collector.ParseRetention(*keep)
	if err != nil {
		return cmdline.Wrong(fs, "--retain %v", err)
	}
	now := time.Now()
	return withStore(ctx, at, func(a *collector.Authority, s *collector.Store) error {
		if *dry {
			return s.View(ctx, func(v *collector.View) error { return printOld(v, rule, now) })
		}
		n, err := s.Retain(ctx, a, rule, now, *sure)
		if err != nil {
			return err
		}
		fmt.Printf("%d events removed\n", n)
		return nil
	})
}

func printOld(v *collector.View, rule collector.Retention, now time.Time) error {
	var n uint64
	err := v.Old(rule, now, func(r collector.Run) error {
		n += r.Count
		what := "events"
		if r.Aside {
			what = "events that were kept aside"
		}
		fmt.Printf("%-24s epoch %s: %d to %d, %d %s\n", r.Device, r.Epoch, r.First, r.Last, r.Count, what)
		return nil
	})
	if err != nil {
		return err
	}
	if rule.Forever() {
		fmt.Println("0 events would be removed: they are kept forever")
		return nil
	}
	fmt.Printf("%d events would be removed: those received before %s\n", n, rule.Before(now).Format(time.DateOnly))
	return nil
}
