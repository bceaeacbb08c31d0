package lock

import (
	"context"
	"sync"
	"time"

	"stepaway/policy"
	"stepaway/session"
)

const (
	rounds    = 5                // how often a client that comes back is looked for
	killWait  = 2 * time.Second  // for a process to be gone that was ended
	maxGrace  = 10 * time.Minute // whatever policy says
	settle    = 200 * time.Millisecond
	respawned = 2 * time.Second // grace for what was started again: nothing was done in it yet
)

// CloseClients closes the named clients of a session, all of them at once, and returns how many processes are left. Each is
// waited for while its busy file says so, asked to close, as its policy says, and ended when its grace is over; one that is
// started again is ended again. When none of its processes is left, found or not, its caches and the clipboard are cleared.
// It reports from several goroutines, but never twice at a time. It takes as long as the longest wait and grace, and up to
// half a minute for caches. When ctx ends before, what was asked to close is left alone.
func (l *Ladder) CloseClients(ctx context.Context, s session.Session, clients []policy.Client, report func(ClientStep)) (left int) {
	var (
		mu   sync.Mutex
		work sync.WaitGroup
	)
	tell := func(st ClientStep) {
		mu.Lock()
		defer mu.Unlock()
		if st.Count > 0 && report != nil {
			report(st)
		}
	}
	for _, c := range clients {
		if c.AtDeadline == policy.Leave {
			continue
		}
		work.Go(func() {
			n := (&closing{Ladder: l, s: s, c: c, report: tell}).run(ctx)
			mu.Lock()
			defer mu.Unlock()
			left += n
		})
	}
	work.Wait()
	return left
}

// closing is the closing of one client.
type closing struct {
	*Ladder
	s      session.Session
	c      policy.Client
	report func(ClientStep)
	busy   bool // its busy file has put it off
}

// run does all that is to be done with the client, and returns how many of its processes are left.
func (c *closing) run(ctx context.Context) (left int) {
	if c.count() > 0 {
		c.busy = c.waitBusy(ctx)
	}
	if ctx.Err() != nil {
		return c.count()
	}
	if left = c.close(ctx); left == 0 && ctx.Err() == nil {
		c.clear(ctx)
	}
	return left
}

// count returns how many processes of the client there are.
func (c *closing) count() int {
	found := c.find()
	defer release(found)
	return len(found)
}

// clear removes what a client that was closed leaves behind.
func (c *closing) clear(ctx context.Context) {
	if len(c.c.Caches) > 0 {
		c.clearCaches(ctx)
	}
	if c.c.ClearClipboard {
		c.clearClipboard(ctx)
	}
}

// close goes round until no process of the client is found, and returns how many are left.
func (c *closing) close(ctx context.Context) (left int) {
	for round := range rounds {
		found := c.find()
		if len(found) == 0 {
			return 0
		}
		c.round(ctx, found, round)
		release(found)
		if ctx.Err() != nil {
			break
		}
		time.Sleep(settle) // what starts it again needs a moment
	}
	left = c.count()
	c.tell(ClientFailed, left)
	return left
}

func (c *closing) tell(code ClientCode, n int) {
	c.report(ClientStep{Client: c.c.Name, Code: code, Count: n, Busy: c.busy})
}

// round asks the processes to close and ends those that did not.
func (c *closing) round(ctx context.Context, found []held, round int) {
	grace := min(max(c.c.Grace, 0), maxGrace)
	if round > 0 {
		grace = min(grace, respawned)
	}
	if c.c.AtDeadline == policy.Close && grace > 0 {
		c.tell(ClientAsked, len(found))
		c.ask(ctx, found)
		if !wait(ctx, found, grace/2) && ctx.Err() == nil {
			insist(found)
			wait(ctx, found, grace/2)
		}
	}
	open := remaining(found)
	c.tell(ClientClosed, len(found)-len(open))
	if ctx.Err() != nil { // its grace was cut short: it is not ended for that
		return
	}
	end(open)
	wait(context.WithoutCancel(ctx), open, killWait)
	c.tell(ClientEnded, len(open)-len(remaining(open)))
}

func remaining(list []held) []held {
	var out []held
	for _, p := range list {
		if !p.Ended() {
			out = append(out, p)
		}
	}
	return out
}

// wait returns true when all have ended, false when the time is over.
func wait(ctx context.Context, list []held, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for _, p := range list {
		if p.Wait(ctx) != nil {
			return len(remaining(list)) == 0
		}
	}
	return true
}

func release(list []held) {
	for _, p := range list {
		p.Close()
	}
}
