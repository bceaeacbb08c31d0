package sink

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"stepaway/audit"
	"stepaway/sink/encode"
)

// Source is where a sink's events come from. It keeps the sink's position, durably.
type Source interface {
	// Next answers at most so many events that the sink has not got, in order; none when there are none.
	Next(ctx context.Context, most int) ([]audit.Record, error)
	// Got says that the sink has the events that Next answered last.
	Got(ctx context.Context, rs []audit.Record) error
}

// Options of a loop. Zero durations take the defaults.
type Options struct {
	Spec    Spec
	Log     *slog.Logger
	Fatal   func(error) // told of every error of the source; may be nil
	Changed func()      // told when the status changes in kind; may be nil

	RetryMin, RetryMax time.Duration // between tries: 1 s to 5 min
	Poll               time.Duration // between looks at a source that nobody wakes the loop for: 1 min
	Calm               time.Duration // least time between two looks at a source that had nothing; 0
}

// Status is how a sink is.
type Status struct {
	Name       string    `json:"name"`
	Kind       Kind      `json:"kind"`
	URL        string    `json:"url"`
	State      string    `json:"state"`          // unknown, up, down
	Code       string    `json:"code,omitempty"` // why it is down
	Since      time.Time `json:"since,omitzero"` // of the state
	Sent       int64     `json:"sent"`           // acknowledged by the receiver since this process began
	Refused    int64     `json:"refused"`        // refused by the receiver for good, since then
	Unreadable int64     `json:"unreadable"`     // events that could not be read, since then
	Last       time.Time `json:"last,omitzero"`  // acknowledgement
}

// Loop carries events from a source to a sink.
type Loop struct {
	o      Options
	source Source
	sink   Sink
	wake   chan struct{}
	tries  int

	records []audit.Record // answered by Next, not yet Got
	entries []encode.Entry // of these, not yet acknowledged
	partly  bool           // the receiver has some of the batch
	refused int            // how often it has refused the rest

	mu sync.Mutex
	st Status
}

// NewLoop makes the loop of one sink.
func NewLoop(source Source, to Sink, o Options) *Loop {
	o.RetryMin = orElse(o.RetryMin, time.Second)
	o.RetryMax = orElse(o.RetryMax, 5*time.Minute)
	o.Poll = orElse(o.Poll, time.Minute)
	l := &Loop{o: o, source: source, sink: to, wake: make(chan struct{}, 1)}
	l.st = Status{Name: o.Spec.Name, Kind: o.Spec.Kind, URL: o.Spec.URL.Redacted(), State: "unknown"}
	return l
}

func orElse(d, other time.Duration) time.Duration {
	if d == 0 {
		return other
	}
	return d
}

// Wake says that there may be something new.
func (l *Loop) Wake() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Status answers how the sink is.
func (l *Loop) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.st
}

// Run works until ctx is done.
func (l *Loop) Run(ctx context.Context) {
	defer l.sink.Close()
	for ctx.Err() == nil {
		some, err := l.round(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			pause(ctx, l.failed(err), nil)
		case !some:
			pause(ctx, l.o.Calm, nil)
			pause(ctx, l.o.Poll, l.wake)
		default:
			l.tries = 0
		}
	}
}

func pause(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-wake:
	case <-t.C:
	}
}

// round brings one batch a step further, and reports whether there was one.
func (l *Loop) round(ctx context.Context) (some bool, err error) {
	if l.records == nil {
		rs, err := l.source.Next(ctx, l.o.Spec.Size)
		if err != nil {
			return false, l.ofSource(err)
		}
		if len(rs) == 0 {
			return false, nil
		}
		l.take(rs)
	}
	if len(l.entries) > 0 {
		if err := l.send(ctx); err != nil {
			return true, err
		}
	}
	if err := l.source.Got(ctx, l.records); err != nil {
		return true, l.ofSource(err)
	}
	l.records, l.entries, l.partly = nil, nil, false
	return true, nil
}

func (l *Loop) ofSource(err error) error {
	if l.o.Fatal != nil {
		l.o.Fatal(err)
	}
	return err
}

// take reads the events that the sink wants. One that cannot be read is counted: it never will be.
func (l *Loop) take(rs []audit.Record) {
	l.records, l.entries, l.partly, l.refused = rs, nil, false, 0
	for _, r := range rs {
		e, err := audit.Decode(r.Body)
		if err != nil {
			l.o.Log.Error("event unreadable, not sent", "sink", l.o.Spec.Name, "seq", r.Seq, "hash", r.Hash, "err", err)
			l.count(func(st *Status) { st.Unreadable++ })
			continue
		}
		if l.o.Spec.Wants(e.Type) {
			l.entries = append(l.entries, encode.Entry{Event: e, Hash: r.Hash})
		}
	}
}

// verdicts is how often a receiver must refuse events of a batch, of which it took others, before that is believed: it may
// have been put right in between.
const verdicts = 3

// send hands over what is left of the batch. A batch of which the receiver has nothing is read again, so that it can grow.
func (l *Loop) send(ctx context.Context) error {
	err := l.sink.Send(ctx, l.entries)
	part := (*Partial)(nil)
	switch {
	case err == nil:
		l.sent(len(l.entries), 0)
	case errors.As(err, &part):
		l.part(part)
		if len(l.entries) > 0 {
			return part.Err
		}
	case !l.partly:
		l.records = nil
		return err
	case codeOf(err) != "refused":
		return err
	default:
		if l.refused++; l.refused < verdicts {
			return err
		}
		l.giveUp(err)
	}
	l.entries = nil
	return nil
}

// part keeps what the receiver has not taken.
func (l *Loop) part(p *Partial) {
	l.sent(len(l.entries)-len(p.Again)-len(p.Refused)-p.Lost, p.Lost)
	if p.Lost > 0 {
		l.o.Log.Error("receiver refuses events for good and does not say which", "sink", l.o.Spec.Name, "events", p.Lost,
			"first", l.entries[0].ID(), "last", l.entries[len(l.entries)-1].ID(), "err", p.Err)
	}
	l.entries, l.partly = slices.Concat(p.Again, p.Refused), true
}

// giveUp counts and names what the receiver will not have.
func (l *Loop) giveUp(err error) {
	var ids []string
	for _, e := range l.entries {
		ids = append(ids, e.ID())
	}
	l.o.Log.Error("receiver refuses events for good", "sink", l.o.Spec.Name, "events", len(ids), "ids", ids, "err", err)
	l.sent(0, len(ids))
}

func (l *Loop) count(f func(*Status)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(&l.st)
}

func (l *Loop) sent(n, refused int) {
	now := time.Now().UTC()
	before := l.Status().State
	l.count(func(st *Status) {
		st.Sent, st.Refused = st.Sent+int64(n), st.Refused+int64(refused)
		if n > 0 {
			st.Last = now
		}
		if st.State != "up" {
			st.State, st.Code, st.Since = "up", "", now
		}
	})
	if before == "down" {
		l.o.Log.Info("events are handed over again", "sink", l.o.Spec.Name)
	}
	if before != "up" {
		l.changed()
	}
}

// failed notes an error, logs it once for as long as it stays the same, and answers how long to wait.
func (l *Loop) failed(err error) time.Duration {
	d := l.backoff(retryAfter(err))
	code := codeOf(err)
	before := l.Status()
	l.count(func(st *Status) {
		if st.State != "down" {
			st.State, st.Since = "down", time.Now().UTC()
		}
		st.Code = code
	})
	if before.State != "down" || before.Code != code {
		l.o.Log.Warn("events not handed over; trying on", "sink", l.o.Spec.Name, "code", code, "err", err, "again_in", d)
		l.changed()
	}
	return d
}

func (l *Loop) changed() {
	if l.o.Changed != nil {
		l.o.Changed()
	}
}

// maxRetryAfter is how long a receiver may put us off.
const maxRetryAfter = time.Hour

// backoff is full jitter between a tenth of the least and what the tries so far allow, behind what the receiver asked for.
func (l *Loop) backoff(asked time.Duration) time.Duration {
	top := l.o.RetryMax
	if l.tries < 30 && l.o.RetryMin<<l.tries < top {
		top = l.o.RetryMin << l.tries
	}
	l.tries++
	return min(asked, maxRetryAfter) + max(l.o.RetryMin/10, rand.N(top))
}
