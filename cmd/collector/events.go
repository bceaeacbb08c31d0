package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"stepaway/audit"
	"stepaway/cmdline"
	"stepaway/collector"
)

func events(ctx context.Context, args []string) error {
	fs := flags("events", "Prints the events that are held, by device, epoch and number. With --json each line is the event as the\ndevice wrote it, with its hash and the time it was received.")
	at := placeFlags(fs)
	asJSON := fs.Bool("json", false, "print one JSON object a line")
	since := fs.String("since", "", "only what was received since this `time`: 2006-01-02, RFC 3339, or a duration such as 24h ago")
	device := fs.String("device", "", "only events of this `device`")
	if _, err := cmdline.Parse(fs, args); err != nil {
		return err
	}
	from, err := parseSince(*since, time.Now())
	if err != nil {
		return cmdline.Wrong(fs, "%v", err)
	}
	out := bufio.NewWriter(os.Stdout)
	line := plainEvent
	if *asJSON {
		line = jsonEvent
	}
	return withStore(ctx, at, func(_ *collector.Authority, s *collector.Store) error {
		err := s.View(ctx, func(v *collector.View) error {
			return v.Walk(collector.Filter{Device: audit.Label(*device), Since: from}, func(k collector.Kept) error {
				_, err := out.WriteString(line(k))
				return err
			})
		})
		return errors.Join(err, out.Flush())
	})
}

// parseSince reads a day, an instant or a duration before now.
func parseSince(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("--since %q: want 2006-01-02, 2006-01-02T15:04:05Z or a duration such as 24h", s)
}

func jsonEvent(k collector.Kept) string {
	return fmt.Sprintf("%s,\"hash\":%q,\"received\":%q}\n", strings.TrimSuffix(string(k.Body), "}"), k.Hash,
		k.Received.Format(time.RFC3339Nano))
}

func plainEvent(k collector.Kept) string {
	var e audit.Event
	if err := json.Unmarshal(k.Body, &e); err != nil {
		return fmt.Sprintf("%s %s/%d unreadable\n", k.Device, k.Epoch, k.Seq)
	}
	more := ""
	if s := e.Session; s != nil {
		more += fmt.Sprintf(" session=%s user=%s", s.ID, s.User)
	}
	if f := e.Facts; f != nil {
		facts, _ := json.Marshal(f)
		more += " " + string(facts)
	}
	return fmt.Sprintf("%s %-20s %s/%d %-7s %-18s %s%s\n", e.Wall.Format(time.RFC3339), k.Device, k.Epoch, k.Seq, e.Severity,
		e.Type, e.Reason, more)
}
