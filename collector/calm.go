package collector

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Lines that peers can bring about, a second. The rest is counted.
const calmLines = 20

// calm is a logger that strangers cannot flood: of warnings only so many a second are written.
func calm(l *slog.Logger) *slog.Logger {
	return slog.New(&calmed{Handler: l.Handler(), state: new(calmState)})
}

type calmed struct {
	slog.Handler
	state *calmState
}

type calmState struct {
	mu      sync.Mutex
	second  time.Time
	lines   int
	dropped int
}

func (c *calmed) Handle(ctx context.Context, r slog.Record) error {
	if r.Level == slog.LevelWarn {
		dropped, ok := c.state.pass(r.Time)
		if !ok {
			return nil
		}
		if dropped > 0 {
			r = r.Clone()
			r.AddAttrs(slog.Int("lines_left_out", dropped))
		}
	}
	return c.Handler.Handle(ctx, r)
}

func (s *calmState) pass(now time.Time) (dropped int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.second) >= time.Second || now.Before(s.second) {
		s.second, s.lines = now, 0
	}
	if s.lines++; s.lines > calmLines {
		s.dropped++
		return 0, false
	}
	dropped, s.dropped = s.dropped, 0
	return dropped, true
}

func (c *calmed) WithAttrs(as []slog.Attr) slog.Handler {
	return &calmed{c.Handler.WithAttrs(as), c.state}
}

func (c *calmed) WithGroup(name string) slog.Handler {
	return &calmed{c.Handler.WithGroup(name), c.state}
}
