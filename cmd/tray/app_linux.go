//go:build cgo

package main

import (
	"context"
	"log"
	"os"
	"sync"
	"time"

	"stepaway/clock"
	"stepaway/link"
	"stepaway/notify"
	"stepaway/picture"
	"stepaway/tray"
	"stepaway/words"
)

// app is everything that runs beside GTK's own loop.
type app struct {
	words    words.Catalogue
	follower *follower
	shower   *notify.Shower
	news     chan word
}

func newApp(socket, session string) *app {
	a := &app{words: words.Pick(os.Getenv), news: make(chan word, 1)}
	a.follower = &follower{
		socket: socket,
		hello:  link.Hello{Role: link.RoleTray, Session: session, Version: version},
		heard:  a.hear,
	}
	return a
}

// hear keeps the newest word for run.
func (a *app) hear(w word) {
	select {
	case <-a.news:
	default:
	}
	a.news <- w
}

// run serves the menu and the warnings until ctx ends, and takes everything off the screen again.
func (a *app) run(ctx context.Context) error {
	now := clock.Now()
	m := tray.View(link.State{}, false, now, a.words, version)
	screen, err := newMenu(m)
	if err != nil {
		return err
	}
	var parts sync.WaitGroup
	defer parts.Wait()
	parts.Go(func() { a.follower.run(ctx) })
	a.startWarnings(ctx, &parts)
	timer := time.NewTimer(0)
	defer timer.Stop()
	var known word
	for {
		select {
		case <-ctx.Done():
			return nil
		case id := <-screen.clicks:
			a.clicked(id)
		case w := <-a.news:
			known = a.take(known, w)
		case <-timer.C:
		}
		now := clock.Now()
		m := tray.View(known.state, known.connected, now, a.words, version)
		screen.show(m)
		timer.Stop()
		if m.Next != tray.Never {
			timer.Reset(max(0, m.Next-now))
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

// startWarnings starts the notification and, on X, the banner.
func (a *app) startWarnings(ctx context.Context, parts *sync.WaitGroup) {
	a.shower = notify.NewShower(clock.Now, a.words)
	notice := notify.NewNotice(a.words.Text(words.Product), picture.Warning.Draw(48), a.shower.Report)
	a.shower.Notice = notice
	parts.Go(func() { notice.Run(ctx) })
	if display := os.Getenv("DISPLAY"); display != "" && os.Getenv("WAYLAND_DISPLAY") == "" {
		banner := notify.NewBanner(display, xauthority())
		a.shower.Banner = banner
		parts.Go(func() { banner.Run(ctx) })
	}
	parts.Go(func() { a.shower.Run(ctx) })
}

// xauthority is the file with the X server's cookie.
func xauthority() string {
	if path := os.Getenv("XAUTHORITY"); path != "" {
		return path
	}
	return os.Getenv("HOME") + "/.Xauthority"
}
