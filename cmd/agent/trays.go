package main

import (
	"context"
	"path/filepath"
	"time"

	"stepaway/enforce"
	"stepaway/lock"
	"stepaway/session"
)

// trays starts the icon in sessions that have none and knows it by its executable.
type trays struct {
	a    *agent
	ctx  context.Context
	path string // canonical path of the tray's program
	put  func(ctx context.Context, s session.Session, argv []string) error
}

func (a *agent) trays(ctx context.Context, l *lock.Ladder) enforce.Trays {
	path, err := beside("stepaway-tray")
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		a.log.Warn("no tray beside this program; desktops have neither icon nor warning from it", "error", err)
		return nil
	}
	t := &trays{a: a, ctx: ctx, path: path}
	t.put = func(ctx context.Context, s session.Session, argv []string) error {
		return l.Start(ctx, s, "tray", argv)
	}
	if a.flags.session {
		t.put = func(_ context.Context, _ session.Session, argv []string) error {
			return runChild(ctx, argv[0], argv[1:])
		}
	}
	return t
}

// autostartIn is how long a desktop has to start the tray by itself.
const autostartIn = 20 * time.Second

// trayIn: without a desktop's autostart entry the tray is started at once.
func (a *agent) trayIn() time.Duration {
	if a.flags.session {
		return 0
	}
	return autostartIn
}

// Start ends the tray before, if it still hangs about, and starts another.
func (t *trays) Start(s session.Session, old int32) {
	t.a.work.Go(func() {
		if old > 0 {
			t.endStuck(old, s)
		}
		if err := t.put(t.ctx, s, []string{t.path, "--link", t.a.paths.socket}); err != nil && t.ctx.Err() == nil {
			t.a.log.Warn("tray not started or ended", "session", s.ID, "error", err)
		}
	})
}
