//go:build linux

// Demo shows Stepaway at work within 90 seconds: it starts the agent on the desktop it is called from, or on a
// private virtual one, shows the warning, continues once by real input, steps away, and shows the lock, its proof
// and the records that reached the collector.
//
// Failure rules: a promised step that does not happen ends the demonstration with exit status 1. It ends only
// what it started, by process handle.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	bin := flag.String("bin", "bin", "directory of the four programs")
	out := flag.String("out", "out/run", "directory for screenshots and logs")
	virtual := flag.Bool("virtual", false, "use a private virtual desktop even where there is one")
	pictures := flag.String("pictures", "", "also write the README's pictures to this directory")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *bin, *out, *pictures, *virtual); err != nil {
		fmt.Fprintln(os.Stderr, "demo: FAILED:", err)
		os.Exit(1)
	}
}

// longest is what the demonstration may take on a virtual desktop. A person at a real one gets more.
const longest = 85 * time.Second

func run(ctx context.Context, bin, out, pictures string, virtual bool) (err error) {
	bin, err = filepath.Abs(bin)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "stepaway")
	if err != nil {
		return err
	}
	d := &demo{bin: bin, out: out, pictures: pictures, dir: dir, began: time.Now()}
	defer func() {
		if err != nil {
			d.keepLogs()
		}
		err = errors.Join(err, d.end())
		_ = os.RemoveAll(dir)
		if err == nil {
			d.summary()
		}
	}()
	if err := d.openDesktop(virtual); err != nil {
		return err
	}
	if d.desk.Virtual {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, longest)
		defer cancel()
	}
	for _, step := range []func(context.Context) error{
		d.startCollector, d.enroll, d.startAgent, d.awaitWarning, d.carryOn, d.stepAway, d.showRecords,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}
