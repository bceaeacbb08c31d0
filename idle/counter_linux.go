package idle

import (
	"context"
	"fmt"
	"time"

	"stepaway/clock"
	"stepaway/x11"
)

// counter follows a display's idle counter, for servers without XInput 2.2. It knows neither devices nor how far a pointer
// was moved, so all input counts.
type counter struct {
	f    *follower
	conn *x11.Conn
	id   uint32
}

func (f *follower) listenCounter(d *display) (*counter, error) {
	list, err := d.conn.Counters()
	if err != nil {
		return nil, err
	}
	id, ok := list[x11.CounterIdle]
	if !ok {
		return nil, fmt.Errorf("idle: display %s has no idle counter", d.name)
	}
	if _, err := d.conn.Alarm(id, lull.Milliseconds(), true); err != nil {
		return nil, err
	}
	return &counter{f: f, conn: d.conn, id: id}, d.conn.Sync()
}

// watch reads the counter once a second while there is input, and else waits for the alarm that says that the counter fell.
func (k *counter) watch(ctx context.Context) error {
	for {
		idle, err := k.read()
		if err != nil {
			return err
		}
		if idle < lull {
			if !sleep(ctx, lull) {
				return ctx.Err()
			}
			continue
		}
		if _, err := k.conn.Next(ctx); err != nil {
			return err
		}
	}
}

func (k *counter) read() (idle time.Duration, err error) {
	now := clock.Now()
	ms, err := k.conn.QueryCounter(k.id)
	if err != nil {
		return 0, err
	}
	const year = 365 * 24 * time.Hour
	idle = time.Duration(min(max(ms, 0), year.Milliseconds())) * time.Millisecond
	k.f.tell(sighting{believed: max(now-idle, 1)})
	return idle, nil
}
