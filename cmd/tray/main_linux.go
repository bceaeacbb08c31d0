//go:build cgo

package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/getlantern/systray"

	"stepaway/clock"
	"stepaway/notify"
	"stepaway/picture"
	"stepaway/words"
)

// goodbye bounds the time for taking everything off the screen at the end.
const goodbye = 3 * time.Second

// usualLink is where the enforcer's service listens.
const usualLink = "/run/stepaway/link.sock"

func run(socket string) error {
	// GTK would load OpenGL and a compiler for it, 55 MB that an icon and a menu do not need.
	_ = os.Setenv("GDK_GL", "disable")
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		lock, err := single(dir, sessionName())
		if err != nil {
			return err
		}
		defer lock.Close()
		os.Setenv("TMPDIR", dir) // where systray keeps its icon: private, and gone after the logout
	}
	if !haveDisplay() {
		return errors.New("no display: stepaway-tray runs in a graphical session")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer stop()
	var failed error
	ready, ended := make(chan struct{}), make(chan struct{})
	close(ready)
	systray.Run(func() {
		failed = newApp(socket, sessionID()).run(ctx, ready)
		close(ended)
		systray.Quit()
	}, nil)
	select {
	case <-ended:
	case <-time.After(goodbye):
	}
	return failed
}

// sessionID is logind's name of this session; without one the enforcer finds it.
func sessionID() string {
	if id := os.Getenv("XDG_SESSION_ID"); id != "" {
		return id
	}
	return "self"
}

// sessionName tells the sessions of one user apart.
func sessionName() string {
	for _, name := range []string{"XDG_SESSION_ID", "WAYLAND_DISPLAY", "DISPLAY"} {
		if v := os.Getenv(name); v != "" {
			return v
		}
	}
	return "self"
}

// languages looks up what tells the language.
func languages(name string) string { return os.Getenv(name) }

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
