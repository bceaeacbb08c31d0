//go:build (linux && cgo) || windows

package main

import (
	"context"
	"log"
	"sync"
	"time"

	"stepaway/clock"
	"stepaway/link"
	"stepaway/notify"
	"stepaway/tray"
	"stepaway/words"
)

// app is everything that runs beside the loop of the icon.
type app struct {
	words    words.Catalogue
	follower *follower
	shower   *notify.Shower
	known    word // by the follower
	news     chan word
}

func newApp(socket, session string) *app {
	a := &app{words: words.Pick(languages), news: make(chan word, 1)}
	a.follower = &follower{
		socket: socket,
		hello:  link.Hello{Role: link.RoleTray, Session: session, Version: version},
		heard:  a.hear,
	}
	return a
}

// hear lets the warning know at once, and keeps the newest word for run: putting up the icon may take the desktop long,
// and a warning must not wait for that.
func (a *app) hear(w word) {
	a.known = a.take(a.known, w)
	select {
	case <-a.news:
	default:
	}
	a.news <- a.known
}

// run serves the menu and the warnings until ctx ends, and takes everything off the screen again. The menu is made when
// ready is closed: until then there is no place for it.
func (a *app) run(ctx context.Context, ready <-chan struct{}) error {
	var parts sync.WaitGroup
	defer parts.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a.startWarnings(ctx, &parts)
	parts.Go(func() { a.follower.run(ctx) })
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var known word
	var screen *menu
	var clicks <-chan tray.ID
	for {
		now := clock.Now()
		m := tray.View(known.state, known.connected, now, a.words, version)
		if screen != nil {
			screen.show(m)
		}
		timer.Stop()
		if m.Next != tray.Never && screen != nil {
			timer.Reset(max(0, m.Next-now))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ready:
			var err error
			if screen, err = newMenu(m); err != nil {
				return err
			}
			ready, clicks = nil, screen.clicks
		case id := <-clicks:
			a.clicked(id)
		case known = <-a.news:
		case <-timer.C:
		}
	}
}

// take takes a new word. When the connection is lost during a warning, the warning goes on to the deadline that was
// last heard of: the enforcer that comes back keeps it.
func (a *app) take(known, w word) word {
	if !w.connected && (known.state.Phase == link.Warned || known.state.Phase == "") {
		return word{state: known.state}
	}
	a.shower.Set(notify.Warning{
		Due:      w.connected && w.state.Phase == link.Warned,
		WarnAt:   time.Duration(w.state.WarnMS) * time.Millisecond,
		Deadline: time.Duration(w.state.DeadlineMS) * time.Millisecond,
		Action:   w.state.Action,
		Clients:  w.state.Clients,
	})
	return w
}

func (a *app) clicked(id tray.ID) {
	if id != tray.LockNow {
		return
	}
	if err := a.follower.lockNow(); err != nil {
		log.Print(err)
	}
}
