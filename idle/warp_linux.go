package idle

import (
	"time"

	"stepaway/clock"
	"stepaway/still"
	"stepaway/x11"
)

// warps sees the pointer put elsewhere by a program (a warp), which gives no raw event. Only on a display without hardware
// does that count: there programs are all that a person has to move a pointer with.
type warps struct {
	conn    *x11.Conn
	counter uint32 // the idle counter, which a warp sets back; 0 if the server has none
	x, y    int16
	rest    still.Pointer
}

// find notes where the pointer is and asks to be woken when the idle counter falls. A server without is no error.
func (w *warps) find(c *x11.Conn) error {
	w.conn = c
	list, err := c.Counters()
	if err != nil || list[x11.CounterIdle] == 0 {
		return nil
	}
	if _, err := c.Alarm(list[x11.CounterIdle], tremble.Milliseconds()/2, true); err != nil {
		return err
	}
	w.counter = list[x11.CounterIdle]
	w.x, w.y, err = c.QueryPointer()
	return err
}

// look tells when the pointer was put elsewhere since the last look, 0 if it was not. To read the counter also arms the
// alarm: the server sees it fall only from a value that somebody asked for.
func (w *warps) look() (at time.Duration, err error) {
	if w.counter == 0 {
		return 0, nil
	}
	x, y, err := w.conn.QueryPointer()
	if err != nil {
		return 0, err
	}
	ms, err := w.conn.QueryCounter(w.counter)
	if err != nil {
		return 0, err
	}
	dx, dy := float64(x)-float64(w.x), float64(y)-float64(w.y)
	w.x, w.y = x, y
	now := clock.Now()
	if dx == 0 && dy == 0 || !w.rest.Move(dx, dy, still.Nudge, now) {
		return 0, nil
	}
	ago := time.Duration(min(max(ms, 0), lull.Milliseconds())) * time.Millisecond
	return max(now-ago, 1), nil
}
