package lock

import (
	"context"
	"time"
)

const (
	clearLimit = 30 * time.Second // for the caches of one client
	clearSoon  = time.Second      // for clearing to notice that it is to end
)

// swept is what came of clearing: entries deleted, and entries or whole caches that are left.
type swept struct{ cleared, left int }

// clearCaches deletes the content of the client's caches, unless the user runs the client in another session too: they are
// cleared when that one is closed.
func (c *closing) clearCaches(ctx context.Context) {
	if c.anywhere() {
		return
	}
	got := make(chan swept, 1)
	limited, cancel := context.WithTimeout(ctx, clearLimit)
	defer cancel()
	err := c.within(limited, clearLimit, "clear "+c.c.Name+" in "+c.s.ID, func() { got <- c.sweep(limited) })
	out := swept{left: len(c.c.Caches)} // if the file system hangs
	select {
	case out = <-got:
	case <-time.After(clearSoon):
		c.o.Log.Warn("lock: clearing caches was not finished", "client", c.c.Name, "err", err)
	}
	c.tell(CacheCleared, out.cleared)
	if ctx.Err() == nil {
		c.tell(CacheLeft, out.left)
	}
}
