package link

import (
	"context"
	"time"
)

// KeepBeating sends a Beat now and every BeatEvery until ctx ends or the enforcer does not take one.
func (c *Client) KeepBeating(ctx context.Context) error {
	next := time.NewTicker(BeatEvery)
	defer next.Stop()
	for {
		if err := c.Say(Message{Beat: &Beat{}}); err != nil {
			return err
		}
		select {
		case <-next.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
