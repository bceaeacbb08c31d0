package main

import (
	"context"
	"path/filepath"
	"syscall"
	"time"

	"stepaway/enforce"
	"stepaway/link"
	"stepaway/lock"
	"stepaway/proc"
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
		t.endStuck(old, s.UID)
		if err := t.put(t.ctx, s, []string{t.path, "--link", t.a.paths.socket}); err != nil && t.ctx.Err() == nil {
			t.a.log.Warn("tray not started or ended", "session", s.ID, "error", err)
		}
	})
}

// endStuck ends a tray that was lost but lives, such as a stopped one: it would keep another from starting.
func (t *trays) endStuck(pid int32, uid uint32) {
	if pid <= 0 {
		return
	}
	p, err := proc.Pin(int(pid))
	if err != nil {
		return
	}
	defer p.Close()
	if p.UID == uid && p.Exe == t.path {
		_ = p.Signal(syscall.SIGKILL) // gone already is as good
	}
}

// Running reports whether the peer's process can still show anything.
func (t *trays) Running(p link.Peer) bool {
	pr, err := proc.Read(int(p.PID))
	return err == nil && pr.Running()
}

// Genuine reports whether the peer runs the tray's own program. It does not tell whether its user has his hands in
// it: nothing that a tray says is believed anyway.
func (t *trays) Genuine(p link.Peer) bool {
	pr, err := proc.Read(int(p.PID))
	return err == nil && pr.Exe == t.path && pr.UID == p.UID
}
