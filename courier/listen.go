package courier

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"stepaway/audit"
	"stepaway/link"
)

// How often the enforcer is looked for, and how long a frame to it may take.
const (
	dialMin  = 200 * time.Millisecond
	dialMax  = 10 * time.Second
	sayLimit = 5 * time.Second
)

// listen keeps a connection to the enforcer, for ever.
func (c *Courier) listen(ctx context.Context, end context.CancelCauseFunc) {
	wait := backoff{min: dialMin, max: dialMax}
	for ctx.Err() == nil {
		began := time.Now()
		err := c.converse(ctx)
		if c.o.Fatal(err) {
			end(err)
			return
		}
		if time.Since(began) > dialMax {
			wait.reset()
		}
		c.o.Log.Debug("no enforcer", "err", err)
		pause(ctx, wait.next())
	}
}

// converse is one connection to the enforcer, until it ends.
func (c *Courier) converse(ctx context.Context) error {
	conn, err := c.o.Dial(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	l := &line{conn: conn}
	if err := l.say(link.Message{Hello: &link.Hello{Role: link.RoleCourier, Version: c.o.Version}}); err != nil {
		cancel()
		conn.Close()
		return err
	}
	var wg sync.WaitGroup
	wg.Go(func() { c.report(ctx, l) })
	err = c.hear(ctx, l)
	cancel()
	conn.Close()
	wg.Wait()
	return err
}

// line is the connection, written to by two goroutines.
type line struct {
	conn net.Conn
	mu   sync.Mutex
}

func (l *line) say(m link.Message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.conn.SetWriteDeadline(time.Now().Add(sayLimit)); err != nil {
		return err
	}
	if err := link.Write(l.conn, m); err != nil {
		return fmt.Errorf("write to the enforcer: %w", err)
	}
	return nil
}

// hear takes events until the connection ends.
func (c *Courier) hear(ctx context.Context, l *line) error {
	for {
		m, err := link.Read(l.conn)
		switch {
		case err != nil:
			return fmt.Errorf("read from the enforcer: %w", err)
		case m.Refused != nil:
			return fmt.Errorf("the enforcer refuses: %s", m.Refused.Code)
		case m.Events != nil:
			err = c.store(ctx, l, m.Events)
		}
		if err != nil {
			return err
		}
	}
}

// store answers only when every event is on disk; a spool that fails is tried again meanwhile.
func (c *Courier) store(ctx context.Context, l *line, ev *link.Events) error {
	if len(ev.Batch) == 0 {
		return nil
	}
	for i := range ev.Batch {
		if ev.Batch[i].Run != ev.Run {
			return errors.New("the enforcer mixes runs in one batch")
		}
	}
	wait := backoff{min: dialMin, max: dialMax}
	began := time.Now()
	for {
		_, _, err := c.q.Append(ev.Batch)
		if err == nil {
			break
		}
		if c.o.Fatal(err) {
			return err
		}
		c.o.Log.Error("events not stored, trying again", "err", err)
		c.spool("spool")
		if !pause(ctx, wait.next()) {
			return ctx.Err()
		}
	}
	c.spool("")
	if slices.ContainsFunc(ev.Batch, func(e audit.Event) bool { return e.Type == audit.ClockJump }) {
		poke(c.anew)
	}
	if wait.tries > 0 {
		c.record(audit.SpoolFailed, &audit.Facts{Count: int64(wait.tries), LateMS: audit.MS(time.Since(began))})
	}
	poke(c.wake)
	poke(c.told)
	return l.say(link.Message{Stored: &link.Stored{Run: ev.Run, N: ev.Batch[len(ev.Batch)-1].N}})
}

// spool notes that the spool fails, or that it works again.
func (c *Courier) spool(code string) {
	c.mu.Lock()
	was := c.spoolCode
	c.spoolCode = code
	c.mu.Unlock()
	if was != code {
		c.changed()
	}
}

// sayAtMost is the least time between two words to the enforcer.
const sayAtMost = 500 * time.Millisecond

// report tells the enforcer how the courier is, now and then and after a change.
func (c *Courier) report(ctx context.Context, l *line) {
	tick := time.NewTicker(c.o.StatusEvery)
	defer tick.Stop()
	for {
		s := c.Status()
		if l.say(link.Message{Courier: &s}) != nil {
			l.conn.Close()
			return
		}
		if !pause(ctx, sayAtMost) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-c.told:
		}
	}
}
