package main

import (
	"context"
	"time"
)

// Pauses between starts of a program that keeps ending.
const (
	firstPause = time.Second
	mostPause  = time.Minute
)

// startCourier keeps a courier beside an agent that no service manager serves.
func (a *agent) startCourier(ctx context.Context) {
	path, err := beside("stepaway-courier")
	if err != nil {
		a.log.Error("no courier; events stay in this process", "error", err)
		return
	}
	args := []string{"run", "--state", a.paths.courier, "--link", a.paths.socket, "--runtime", a.paths.runtime}
	stop, cancel := context.WithCancel(context.WithoutCancel(ctx))
	a.stopCourier = cancel
	a.work.Go(func() { a.keep(stop, path, args) })
}

// keep runs a program again and again until ctx ends, then asks it to end.
func (a *agent) keep(ctx context.Context, path string, args []string) {
	pause := firstPause
	for ctx.Err() == nil {
		began := time.Now()
		err := runChild(ctx, path, args)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > mostPause {
			pause = firstPause
		}
		a.log.Error("program ended; starting it again", "program", path, "error", err, "in", pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, mostPause)
	}
}
