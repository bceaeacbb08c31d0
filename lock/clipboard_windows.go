package lock

import (
	"context"
	"time"
)

const clipboardLimit = 2 * time.Second

// clearClipboard has the clipboard of the session emptied.
func (c *closing) clearClipboard(ctx context.Context) {
	if c.o.Desk == nil {
		c.tell(ClipboardLeft, 1)
		return
	}
	limited, cancel := context.WithTimeout(ctx, clipboardLimit)
	defer cancel()
	err := c.o.Desk.EmptyClipboard(limited, c.s.ID)
	if err == nil {
		c.tell(ClipboardCleared, 1)
	} else if ctx.Err() == nil {
		c.o.Log.Warn("lock: the clipboard was not cleared", "session", c.s.ID, "err", err)
		c.tell(ClipboardLeft, 1)
	}
}
