package idle

import (
	"context"
	"errors"
	"time"

	"stepaway/clock"
	"stepaway/wayland"
)

// notices follows what a compositor tells of input by ext-idle-notify: that there was none for a lull, and that there is
// some again. Where it hangs it is no more believed than where it has gone.
type notices struct {
	f    *follower
	conn *wayland.Conn
}

func (n *notices) begin(context.Context) error { return n.conn.WatchInput(lull) }
func (n *notices) close()                      { n.conn.Close() }

func (n *notices) watch(ctx context.Context) error {
	for {
		was := n.conn.Active()
		e, now, err := n.next(ctx, was)
		switch {
		case err != nil:
			return err
		case e == wayland.Resumed:
			n.f.tell(sighting{believed: now})
		case was: // has just become idle, or is not idle yet
			n.f.tell(sighting{believed: max(now-lull, 1)})
		}
		if e != wayland.Nothing && !sleep(ctx, tremble) { // one that never stops talking
			return ctx.Err()
		}
	}
}

// next waits for an event, and tells when it came. While there is input none comes; then it waits for a lull, and makes sure
// that the compositor still runs: one that has stopped would seem to have input for ever.
func (n *notices) next(ctx context.Context, active bool) (e wayland.Event, at time.Duration, err error) {
	if !active {
		e, err = n.conn.Next(ctx)
		return e, clock.Now(), err
	}
	short, cancel := context.WithTimeout(ctx, lull+tremble)
	defer cancel()
	e, err = n.conn.Next(short)
	at = clock.Now()
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return wayland.Nothing, at, n.conn.Sync(ctx)
	}
	return e, at, err
}

// findNotifier returns a connection to a compositor of the session that offers ext-idle-notify in the version that is
// wanted. Else it tells the best version that was seen, and what stood in the way.
func (f *follower) findNotifier(ctx context.Context, uid uint32) (conn *wayland.Conn, version int, err error) {
	var failed error
	for _, path := range f.w.opt.compositors(uid) {
		c, err := dialAs(ctx, uid, path)
		if err != nil {
			failed = err
			continue
		}
		conn, err := wayland.New(ctx, c)
		if err != nil {
			failed = err
			continue
		}
		if conn.Notifier >= ignoresInhibitors {
			return conn, int(conn.Notifier), nil
		}
		version = max(version, int(conn.Notifier))
		conn.Close()
	}
	return nil, version, failed
}
