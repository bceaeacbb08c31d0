package lock

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"stepaway/trusted"
)

const (
	busyLook  = 500 * time.Millisecond // between looks at a busy file
	busyLimit = time.Second            // for one look: the file may lie on a network
	maxBusy   = 10 * time.Minute       // whatever policy says
)

// waitBusy waits while the client's busy file is there, and tells whether it did. Only a file that nobody but root can have
// written or put there counts; any other is reported and puts nothing off. It ends with ctx, and when the policy's longest
// wait since the first look is over.
func (c *closing) waitBusy(ctx context.Context) (waited bool) {
	if c.c.BusyFile == "" || c.c.BusyMost <= 0 {
		return false
	}
	end := c.o.Now() + min(c.c.BusyMost, maxBusy)
	for c.isBusy(ctx) {
		waited = true
		left := end - c.o.Now()
		if left <= 0 {
			break
		}
		select {
		case <-ctx.Done():
			return waited
		case <-time.After(min(left, busyLook)):
		}
	}
	return waited
}

// isBusy looks at the busy file once. What cannot be told in time is no veto.
func (c *closing) isBusy(ctx context.Context) bool {
	got := make(chan error, 1)
	err := c.within(ctx, busyLimit, "look at "+c.c.BusyFile, func() { got <- trusted.Roots(c.c.BusyFile) })
	if err == nil {
		err = <-got
	}
	if err == nil || ctx.Err() != nil {
		return err == nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		c.o.Log.Warn("lock: a busy file puts nothing off", "client", c.c.Name, "err", err)
		c.tell(BusyUntrusted, 1)
	}
	return false
}
