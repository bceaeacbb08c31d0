package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"stepaway/cmdline"
	"stepaway/collector"
	"stepaway/sink"
)

func sinksVerb() cmdline.Verb {
	return cmdline.Group(self, "sinks", "see to the audit systems that events are handed on to", []cmdline.Verb{
		{Name: "check", Line: "check a file of sinks, and every file that it names", Run: sinksCheck},
		{Name: "status", Line: "how far each sink is", Run: sinksStatus},
	})
}

func sinksCheck(_ context.Context, args []string) error {
	fs := flags("sinks check FILE", "Checks a file of sinks and every file that it names, and says everything that is wrong with them. Connects to\nnothing. Exit 1 if anything is wrong.")
	asJSON := fs.Bool("json", false, "print JSON")
	names, err := cmdline.Parse(fs, args, "FILE")
	if err != nil {
		return err
	}
	return sink.CheckFile(os.Stdout, names[0], *asJSON)
}

// sinkNow is what `sinks status --json` prints of each sink: what the store knows, and what the collector on this data
// directory last said.
type sinkNow struct {
	collector.Fed
	Here *sink.Status `json:"here,omitempty"`
}

func sinksStatus(ctx context.Context, args []string) error {
	fs := flags("sinks status", "Shows how far each sink is, and how the collector on this data directory reaches it.")
	at := placeFlags(fs)
	asJSON := fs.Bool("json", false, "print one JSON object a line")
	if _, err := cmdline.Parse(fs, args); err != nil {
		return err
	}
	said, err := sink.Heard(sinksFile(at))
	if err != nil {
		return fmt.Errorf("read how the sinks are: %w", err)
	}
	var fed []collector.Fed
	err = withStore(ctx, at, func(_ *collector.Authority, s *collector.Store) error {
		return s.View(ctx, func(v *collector.View) (err error) {
			fed, err = v.Fed()
			return err
		})
	})
	if err != nil {
		return err
	}
	for _, f := range fed {
		if err := printSink(sinkNow{f, said.Of(f.Sink)}, *asJSON); err != nil {
			return err
		}
	}
	return nil
}

func printSink(n sinkNow, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(os.Stdout).Encode(n)
	}
	fmt.Printf("%-16s %d waiting, %d missed", n.Sink, n.Waiting, n.Missed)
	if h := n.Here; h != nil {
		fmt.Printf("; %s %s %s, %d sent, %d refused", h.URL, h.State, h.Code, h.Sent, h.Refused)
	}
	if n.Served.Before(time.Now()) {
		fmt.Print("; no collector serves it")
	}
	fmt.Println()
	return nil
}

func sinksFile(at *place) string { return filepath.Join(at.data, "sinks.json") }

// sinksFlag names the file of sinks; none unless given.
func sinksFlag(fs *flag.FlagSet) *string {
	return fs.String("sinks", "", "`file` of the audit systems that events are handed on to; see docs/delivery.md")
}

// sinksOf makes what hands events of the store on; nil for no file.
func sinksOf(path string, at *place, s *collector.Store, log *slog.Logger) (*sink.Group, error) {
	if path == "" {
		return nil, nil
	}
	specs, err := sink.Load(path)
	if problems := (sink.Problems)(nil); errors.As(err, &problems) {
		return nil, fmt.Errorf("%v; %d problems in all, see stepaway-collector sinks check %s", problems[0], len(problems), path)
	}
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("ask for the name of this machine: %w", err)
	}
	dir, err := filepath.Abs(at.data)
	if err != nil {
		return nil, err
	}
	source := func(spec sink.Spec) sink.Source { return s.Feed(spec.Name, host+":"+dir, spec.Fresh) }
	return sink.NewGroup(specs, source, sinksFile(at), sink.Options{Log: log, Calm: time.Second}), nil
}
