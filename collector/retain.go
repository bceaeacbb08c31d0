package collector

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"stepaway/audit"
)

// Retention is how long events are kept: "6y", "90d", "52560h", or "forever". They are removed by whole months of
// receipt (UTC), so that one is kept for at least that long, and a month longer at most.
type Retention struct {
	text        string
	years, days int
	hours       time.Duration
}

// DefaultRetention is what 45 CFR 164.316(b)(2)(i) asks for.
const DefaultRetention = "6y"

// leastRetention keeps a slip of the hand from emptying the store.
const leastRetention = 30 * 24 * time.Hour

// ParseRetention reads a Retention.
func ParseRetention(s string) (Retention, error) {
	r := Retention{text: s}
	if s == "forever" {
		return r, nil
	}
	n, err := strconv.Atoi(strings.TrimRight(s, "yd"))
	switch {
	case err == nil && n > 0 && n <= 100 && s == strconv.Itoa(n)+"y":
		r.years = n
	case err == nil && n > 0 && n <= 36500 && s == strconv.Itoa(n)+"d":
		r.days = n
	default:
		if r.hours, err = time.ParseDuration(s); err != nil {
			return Retention{}, fmt.Errorf("%.40q: want years, days or hours such as 6y, 90d or 52560h, or forever", s)
		}
	}
	if now := time.Now(); now.Sub(r.ago(now)) < leastRetention {
		return Retention{}, fmt.Errorf("%.40q: want 30d at least", s)
	}
	return r, nil
}

func (r Retention) String() string { return r.text }

// Forever reports whether nothing is ever removed.
func (r Retention) Forever() bool { return r.years == 0 && r.days == 0 && r.hours == 0 }

func (r Retention) ago(now time.Time) time.Time {
	return now.UTC().AddDate(-r.years, 0, -r.days).Add(-r.hours)
}

// Before answers the beginning of the first month that is kept.
func (r Retention) Before(now time.Time) time.Time { return month(r.ago(now)) }

func month(t time.Time) time.Time {
	y, m, _ := t.UTC().Date()
	return time.Date(y, m, 1, 0, 0, 0, 0, time.UTC)
}

// Run is some events of one epoch with numbers that follow one another; of those aside, any.
type Run struct {
	Device audit.Label `json:"device"`
	Epoch  string      `json:"epoch"`
	First  uint64      `json:"first"`
	Last   uint64      `json:"last"`
	Count  uint64      `json:"count"`
	Hash   string      `json:"hash,omitempty"`  // of the last one
	Aside  bool        `json:"aside,omitempty"` // forks
}

// Removal is the record of what a rule took out of the store. Each names the hash of the one before it and is signed
// with the collector's key, so that nobody with the database alone can remove an event and make it look like the rule.
type Removal struct {
	N uint64 `json:"n"` // 1.. without a hole
	Run
	At   time.Time `json:"at"`
	Rule string    `json:"rule"`
	Prev string    `json:"prev"`
}

// Sealed is a Removal as it is stored.
type Sealed struct {
	N    uint64
	Body []byte // JSON
	Sig  string // Ed25519, base64
	Run  Run    // what the store goes by; the body must say the same
}

// sealer makes the records of runs, after the last one there is.
type sealer func(last Sealed, runs []Run) ([]Sealed, error)

func sealed(body []byte) []byte { return append([]byte("stepaway-removal-v1\n"), body...) }

func (a *Authority) sealer(rule string, now time.Time) sealer {
	return func(last Sealed, runs []Run) (all []Sealed, err error) {
		for _, r := range runs {
			prev := audit.Zero
			if last.N > 0 {
				prev = audit.Hash(last.Body)
			}
			last = Sealed{N: last.N + 1, Run: r}
			last.Body, err = json.Marshal(Removal{N: last.N, Run: r, At: now.UTC(), Rule: rule, Prev: prev})
			if err != nil {
				return nil, err
			}
			last.Sig = base64.StdEncoding.EncodeToString(ed25519.Sign(a.AckKey, sealed(last.Body)))
			all = append(all, last)
		}
		return all, nil
	}
}

// open checks a record by itself.
func (s Sealed) open(key ed25519.PublicKey) (r Removal, err error) {
	sig, err := base64.StdEncoding.DecodeString(s.Sig)
	if err != nil || !ed25519.Verify(key, sealed(s.Body), sig) {
		return r, errors.New("not signed by this collector")
	}
	if err := json.Unmarshal(s.Body, &r); err != nil {
		return r, err
	}
	want := r.Run
	want.Count, want.Hash = s.Run.Count, s.Run.Hash // not in the columns
	if s.Run != want || s.N != r.N {
		return r, errors.New("the store goes by something else than what is signed")
	}
	return r, nil
}

func (a *Authority) ackKeyText() string {
	return base64.StdEncoding.EncodeToString(a.AckKey.Public().(ed25519.PublicKey))
}

// ErrClock is the error of a removal that looks like a wrong clock.
var ErrClock = errors.New("months went by without any event: the clock may be wrong, and nothing was removed; " +
	"if it is right, run `stepaway-collector retain --clock-is-right`")

// Retain removes what is older than the rule wants it kept and answers how many events went. Unless sure, it
// removes nothing where the time that is kept has whole months without any event, as it has when the clock jumped ahead.
func (s *Store) Retain(ctx context.Context, a *Authority, rule Retention, now time.Time, sure bool) (int64, error) {
	if rule.Forever() {
		return 0, nil
	}
	before := rule.Before(now)
	if !sure {
		if err := s.lived(ctx, before, now); err != nil {
			return 0, err
		}
	}
	before, owed, err := s.owed(ctx, before, now)
	if err != nil {
		return 0, err
	}
	n, err := s.engine.remove(ctx, before, a.sealer("retain "+rule.String(), now))
	if err != nil {
		return n, fmt.Errorf("remove events received before %s: %w", before.Format(time.DateOnly), err)
	}
	if n > 0 {
		err = s.Record(ctx, audit.EventsRemoved, audit.Facts{Count: n, Code: audit.MakeLabel("retain " + rule.String())}, now)
	}
	return n, errors.Join(err, owed)
}

// sinkGone is how long after it was served last a sink is taken to be no more.
const sinkGone = 30 * 24 * time.Hour

// owed answers the beginning of the month of the oldest event that a sink has not got, if that is before a time, and an error that
// says so; else that time.
func (s *Store) owed(ctx context.Context, before, now time.Time) (until time.Time, owed, err error) {
	err = s.engine.read(ctx, func(x *tx) (err error) { until, owed, err = x.owed(before, now); return err })
	return until, owed, err
}

func (x *tx) owed(before, now time.Time) (until time.Time, owed, err error) {
	var sink string
	var oldest time.Time
	err = x.row(`SELECT t.sink, v.received FROM turns t CROSS JOIN epochs e
		LEFT JOIN positions p ON p.sink = t.sink AND p.device = e.device AND p.epoch = e.epoch
		JOIN events v ON v.device = e.device AND v.epoch = e.epoch AND v.seq = coalesce(p.seq, e.first - 1) + 1
		WHERE t.until > ?1 AND e.last > coalesce(p.seq, e.first - 1) AND v.received < ?2 ORDER BY v.received LIMIT 1`,
		now.Add(-sinkGone), before).Scan(&sink, instant{&oldest})
	if errors.Is(err, sql.ErrNoRows) {
		return before, nil, nil
	}
	if err != nil {
		return before, nil, fmt.Errorf("look for what sinks have not got: %w", err)
	}
	m := month(oldest)
	return m, fmt.Errorf("events received since %s are kept for longer: the sink %s has not got them yet", m.Format(time.DateOnly), sink), nil
}

// emptyMonths without an event, one after the other, look like a clock that jumped.
const emptyMonths = 3

// lived fails with ErrClock where there is something to remove and months that are kept are empty.
func (s *Store) lived(ctx context.Context, before, now time.Time) error {
	return s.engine.read(ctx, func(x *tx) error {
		some, err := received(x, time.Unix(0, 0), before)
		if err != nil || !some {
			return err
		}
		empty := 0
		for m := before; m.Before(now); m = m.AddDate(0, 1, 0) {
			some, err := received(x, m, m.AddDate(0, 1, 0))
			if err != nil {
				return err
			}
			if empty++; some {
				empty = 0
			}
			if empty == emptyMonths {
				return ErrClock
			}
		}
		return nil
	})
}

// received reports whether any event was received from some time on until another.
func received(x *tx, from, to time.Time) (some bool, err error) {
	err = x.row("SELECT EXISTS (SELECT 1 FROM events WHERE received >= ?1 AND received < ?2)", from, to).Scan(&some)
	return some, err
}

// KeepRetention retains once a day until ctx is done. Several collectors on one store do no harm.
func (s *Store) KeepRetention(ctx context.Context, a *Authority, rule Retention, log *slog.Logger) {
	for !rule.Forever() {
		n, err := s.Retain(ctx, a, rule, time.Now(), false)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			log.Error("old events not removed", "err", err)
		case n > 0:
			log.Info("old events removed", "events", n, "rule", rule.String())
		}
		select {
		case <-time.After(24 * time.Hour):
		case <-ctx.Done():
			return
		}
	}
}

// Old calls f for each run of events that the rule would remove. Its error may be that a sink has not got some of them.
func (v *View) Old(rule Retention, now time.Time, f func(Run) error) error {
	if rule.Forever() {
		return nil
	}
	before, owed, err := v.x.owed(rule.Before(now), now)
	if err != nil {
		return err
	}
	return errors.Join(v.old(v.x, before, f), owed)
}
