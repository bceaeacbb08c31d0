//go:build (linux && cgo) || windows

package main

import (
	"context"
	"errors"
	"log"
	"sync"
	"time"

	"stepaway/link"
)

// Pauses between attempts to reach the enforcer.
const (
	firstPause = time.Second
	mostPause  = 10 * time.Second
)

// word is the newest that is known of the session.
type word struct {
	state     link.State
	connected bool // and state is what the enforcer says
}

// follower keeps the connection to the enforcer.
type follower struct {
	socket string
	hello  link.Hello
	heard  func(word) // called from one goroutine; must not block

	mu     sync.Mutex
	client *link.Client // nil while there is no connection
}

// run connects again and again until ctx ends. An error is logged once, however often it comes.
func (f *follower) run(ctx context.Context) {
	pause, said := firstPause, ""
	for ctx.Err() == nil {
		spoke, err := f.listen(ctx)
		f.heard(word{})
		if spoke {
			pause, said = firstPause, ""
		}
		if err != nil && err.Error() != said && ctx.Err() == nil {
			said = err.Error()
			log.Print(said)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, mostPause)
	}
}

// listen serves one connection, and tells whether the enforcer said anything on it.
func (f *follower) listen(ctx context.Context) (spoke bool, err error) {
	c, err := link.Open(f.socket, f.hello)
	if err != nil {
		return false, err
	}
	var beating sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	defer beating.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	defer c.Close()
	f.use(c)
	defer f.use(nil)
	beating.Go(func() { beat(ctx, c) })
	for {
		m, err := c.Hear()
		if err != nil {
			return spoke, err
		}
		if m.State == nil {
			return spoke, errors.New("the enforcer said what no tray should hear")
		}
		spoke = true
		f.heard(word{state: *m.State, connected: true})
	}
}

// beat says that the tray lives. A connection that does not take it is closed.
func beat(ctx context.Context, c *link.Client) {
	if err := c.KeepBeating(ctx); err != nil && ctx.Err() == nil {
		log.Print(err)
	}
	c.Close()
}

func (f *follower) use(c *link.Client) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.client = c
}

// lockNow asks the enforcer to lock the session.
func (f *follower) lockNow() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.client == nil {
		return errors.New("lock now: not connected to the enforcer")
	}
	return f.client.Say(link.Message{LockNow: &link.LockNow{}})
}
