package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"stepaway/audit"
	"stepaway/cmdline"
	"stepaway/sink"
	"stepaway/spool"
	"stepaway/uplink"
)

func sinksVerb() cmdline.Verb {
	return cmdline.Group(self, "sinks", "see to the audit systems that events are handed on to", []cmdline.Verb{
		{Name: "check", Line: "check a file of sinks, and every file that it names", Run: sinksCheck},
	})
}

func sinksCheck(_ context.Context, args []string) error {
	fl := flags("sinks check FILE", "Checks a file of sinks and every file that it names, and says everything that is wrong with them. Connects to\nnothing. Exit 1 if anything is wrong.")
	asJSON := fl.Bool("json", false, "print JSON")
	names, err := cmdline.Parse(fl, args, "FILE")
	if err != nil {
		return err
	}
	return sink.CheckFile(os.Stdout, names[0], *asJSON)
}

// sinksFor is the file of sinks that goes with a state directory.
func sinksFor(dir string) string {
	if dir == defaultState {
		return defaultSinks
	}
	return filepath.Join(dir, "sinks.yaml")
}

// handedTo reads which audit systems events are handed on to. keep: they cannot be read now, so that those of before stay
// waited for.
func (r *running) handedTo() (specs []sink.Spec, keep bool) {
	specs, err := sink.Load(r.sinks)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return specs, false
	}
	if problems := (sink.Problems)(nil); errors.As(err, &problems) {
		err = fmt.Errorf("%v; %d problems in all, see stepaway-courier sinks check %s", problems[0], len(problems), r.sinks)
	}
	r.log.Error("events wait and are not handed on to any sink", "err", err)
	return nil, true
}

func namesOf(specs []sink.Spec) (names []string) {
	for _, s := range specs {
		names = append(names, s.Name)
	}
	return names
}

// group makes what hands events on. fatal is told of what goes wrong with the spool.
func (r *running) group(specs []sink.Spec, s *spool.Spool, fatal func(error)) *sink.Group {
	source := func(spec sink.Spec) sink.Source { return &spooled{s: s, sink: spec.Name} }
	return sink.NewGroup(specs, source, r.state.sinks(), sink.Options{Log: r.log, Fatal: fatal})
}

// spooled is the spool as the source of one sink.
type spooled struct {
	s     *spool.Spool
	sink  string
	epoch string // of what Next answered last
}

func (q *spooled) Next(_ context.Context, most int) (rs []audit.Record, err error) {
	rs, q.epoch, err = q.s.NextFor(q.sink, most, uplink.MaxBodies)
	return rs, err
}

func (q *spooled) Got(_ context.Context, rs []audit.Record) error {
	return q.s.Passed(q.sink, q.epoch, rs[len(rs)-1].Seq)
}

// waking tells the sinks of what comes into the spool.
type waking struct {
	queue
	group *sink.Group
}

func (w waking) Append(es []audit.Event) (first, last uint64, err error) {
	first, last, err = w.queue.Append(es)
	if err == nil && last > 0 {
		w.group.Wake()
	}
	return first, last, err
}
