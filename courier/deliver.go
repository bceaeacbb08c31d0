package courier

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"time"

	"stepaway/audit"
	"stepaway/uplink"
)

// backoff grows from min to max with full jitter, but never below a tenth of min.
type backoff struct {
	min, max time.Duration
	tries    int
}

func (b *backoff) reset() { b.tries = 0 }

func (b *backoff) next() time.Duration {
	top := b.max
	if b.tries < 30 && b.min<<b.tries < b.max {
		top = b.min << b.tries
	}
	b.tries++
	return max(b.min/10, rand.N(top))
}

// deliver sends what is in the spool, for ever.
func (c *Courier) deliver(ctx context.Context, end context.CancelCauseFunc) {
	wait := backoff{min: c.o.RetryMin, max: c.o.RetryMax}
	var renewal, probed time.Time
	lapsed := false // tried to renew since the collector said so
	for ctx.Err() == nil {
		if now := time.Now(); !now.Before(renewal) {
			c.renew(ctx)
			renewal = now.Add(jittered(c.o.RenewRetry))
		}
		sent, err := c.sendOnce(ctx)
		if err == nil && !sent && time.Since(probed) >= c.o.ProbeEvery {
			err = c.o.Peer.Probe(ctx)
			sent = true
		}
		if err == nil && sent {
			probed = time.Now()
		}
		switch {
		case err == nil && sent:
			wait.reset()
			lapsed = false
			c.succeeded()
		case err == nil:
			await(ctx, time.Until(earlier(renewal, probed.Add(c.o.ProbeEvery))), c.wake)
		case ctx.Err() != nil:
			return
		case c.o.Fatal(err):
			end(err)
			return
		default:
			d := c.wait(&wait, err)
			if codeOf(err) == "lapsed" && !lapsed {
				lapsed, renewal, d = true, time.Time{}, 0 // renew at once, then go on
			}
			c.failure(err, d)
			if await(ctx, d, c.anew) { // a certificate of tomorrow may be one of today
				wait.reset()
				renewal = time.Time{}
			}
		}
	}
}

// wait is how long to wait after an error: longer where trying again cannot help, but somebody at the collector can.
func (c *Courier) wait(b *backoff, err error) time.Duration {
	switch codeOf(err) {
	case "revoked", "expired", "version":
		return jittered(c.o.RefusedEvery)
	}
	return max(b.next(), min(retryAfter(err), c.o.RetryMax))
}

// jittered draws from the second half of d.
func jittered(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// await waits, and reports whether a sign came before the time was over.
func await(ctx context.Context, d time.Duration, sign <-chan struct{}) (came bool) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-sign:
		return true
	}
	return false
}

// sendOnce sends one batch and frees the spool of what the collector then holds.
func (c *Courier) sendOnce(ctx context.Context) (sent bool, err error) {
	p := c.q.Position()
	rs, err := c.q.Next(p.Acked, uplink.MaxEvents, uplink.MaxBodies)
	if err != nil || len(rs) == 0 {
		return false, err
	}
	ack, err := c.o.Peer.Send(ctx, c.batch(p, rs), rs)
	var fork *ForkError
	if errors.As(err, &fork) {
		return false, c.forked(err)
	}
	if err != nil {
		return false, err
	}
	if ack.Last < rs[0].Seq {
		return false, c.behind(p, ack)
	}
	if err := c.q.Ack(ack.Last, ack.Hash, ack.Sig); err != nil {
		return false, err
	}
	poke(c.told)
	return true, nil
}

func (c *Courier) batch(p Position, rs []audit.Record) uplink.Batch {
	b := uplink.Batch{Device: c.o.Device, Epoch: p.Epoch}
	for _, r := range rs {
		b.Events = append(b.Events, json.RawMessage(r.Body))
	}
	if p.Proof != "" {
		b.Acked = &uplink.Ack{Device: c.o.Device, Epoch: p.Epoch, Last: p.Acked, Hash: p.AckedHash, Sig: p.Proof}
	}
	return b
}

// behind is what an ack means that names nothing of what was sent. At the very position that is already
// acknowledged it is a fork when the hash differs; below it the collector has lost what it once held.
func (c *Courier) behind(p Position, ack uplink.Ack) error {
	if ack.Last == p.Acked && ack.Hash != p.AckedHash {
		return c.forked(errors.New("the collector holds another event under the number acknowledged last"))
	}
	return &AnswerError{Code: "hole", Err: errors.New("the collector acknowledges nothing of what was sent")}
}

// forkEvery is the least time between two new epochs that the collector can bring about.
const forkEvery = time.Hour

// forked begins a new epoch, since this one can never be acknowledged.
func (c *Courier) forked(cause error) error {
	if time.Since(c.lastFork) < forkEvery {
		return &AnswerError{Code: "fork", Err: cause}
	}
	c.lastFork = time.Now()
	c.o.Log.Error("the collector holds another history of this epoch; beginning a new one", "err", cause)
	if err := c.q.Fork("fork"); err != nil {
		return err
	}
	poke(c.wake)
	return nil
}

func (c *Courier) succeeded() {
	c.mu.Lock()
	was, code := c.state, c.code
	c.failed = time.Time{}
	c.mu.Unlock()
	if code != "" {
		c.o.Log.Info("events are delivered again", "code_before", code)
	}
	c.note("up", "")
	if was != "up" {
		c.record(audit.CollectorUp, nil)
	}
}

// failure notes an error, and logs it once for as long as it stays the same. The collector counts as down only
// after a while, so that one which works every other time does not fill the spool with its own ups and downs.
func (c *Courier) failure(err error, wait time.Duration) {
	code := codeOf(err)
	c.mu.Lock()
	if c.failed.IsZero() {
		c.failed = time.Now()
	}
	down := time.Since(c.failed)+wait >= c.o.DownAfter
	was, before := c.state, c.code
	c.mu.Unlock()
	if code != before {
		c.o.Log.Warn("events not delivered; trying on", "code", code, "err", err, "again_in", wait)
	}
	if !down && was != "down" {
		c.note(was, code)
		return
	}
	c.note("down", code)
	if was != "down" {
		c.record(audit.CollectorDown, &audit.Facts{Code: audit.MakeLabel(code)})
	}
}

// renew renews the certificate when it is due.
func (c *Courier) renew(ctx context.Context) {
	renewed, err := c.o.Peer.Renew(ctx)
	if err != nil && ctx.Err() == nil {
		c.o.Log.Warn("certificate not renewed", "code", codeOf(err), "err", err)
	}
	if renewed {
		c.o.Log.Info("certificate renewed")
		c.record(audit.CertificateRenewed, nil)
	}
}
