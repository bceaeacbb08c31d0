package collector

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"stepaway/audit"
)

func TestRetentionInWords(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{"6y": "2020-11-01", "90d": "2026-08-01", "52560h": "2020-11-01", "100y": "1926-11-01",
		"31d": "2026-10-01", "1y": "2025-11-01", "2160h30m": "2026-08-01"} {
		r, err := ParseRetention(text)
		if err != nil || r.Before(now).Format(time.DateOnly) != want || r.String() != text || r.Forever() {
			t.Errorf("%s: before %v, want %s, %v", text, r.Before(now), want, err)
		}
	}
	for _, text := range []string{"", "6", "6x", "y", "-6y", "0y", "06y", "29d", "719h", "101y", "6y6d", "6Y", "1e3h", "∞"} {
		if r, err := ParseRetention(text); err == nil {
			t.Errorf("%q taken as %v", text, r)
		}
	}
	if r, err := ParseRetention("forever"); err != nil || !r.Forever() {
		t.Error(err)
	}
}

func rule(t testing.TB, text string) Retention {
	t.Helper()
	r, err := ParseRetention(text)
	must(t, err)
	return r
}

// years has two devices write ten events a month from January 2020 on, and one of them fork in February.
func years(t *testing.T, s *site, months int) (a, b *chain) {
	t.Helper()
	a, b = newChain(t, "ws-1", "00000000000000aa", 10*months), newChain(t, "ws-2", "00000000000000bb", 10*months)
	f := b.fork(15)
	f.grow(t, 3)
	for m := range months {
		at := time.Date(2020, time.Month(1+m), 15, 0, 0, 0, 0, time.UTC)
		s.take(t, a, 10*m+1, 10*m+10, at, 10*m+10)
		s.take(t, b, 10*m+1, 10*m+10, at, 10*m+10)
		if m == 1 {
			_, err := s.store.Take(context.Background(), f.arrival(16, 18, at))
			must(t, err)
		}
	}
	return a, b
}

func TestRetention(t *testing.T) { onEach(t, checkRetention) }

func checkRetention(t *testing.T, s *site) {
	ctx := context.Background()
	a, b := years(t, s, 24)
	now := time.Date(2021, 12, 20, 0, 0, 0, 0, time.UTC)
	half := rule(t, "182d") // from June 2021 on: 17 months go
	var planned uint64
	must(t, s.store.View(ctx, func(v *View) error {
		return v.Old(half, now, func(r Run) error { planned += r.Count; return nil })
	}))
	if n, err := s.store.Retain(ctx, s.a, rule(t, "forever"), now, false); n != 0 || err != nil {
		t.Errorf("forever: %d removed, %v", n, err)
	}
	n, err := s.store.Retain(ctx, s.a, half, now, false)
	if err != nil || n != 2*170+3 || planned != uint64(n) {
		t.Fatalf("%d removed, %d planned, %v", n, planned, err)
	}
	if n, err := s.store.Retain(ctx, s.a, half, now, false); n != 0 || err != nil {
		t.Errorf("once more: %d, %v", n, err)
	}
	v := s.verified(t)
	var count uint64
	for _, r := range v.Removed {
		count += r.Count
		if r.Rule != "retain 182d" || !r.At.Equal(now) || r.Last > 170 {
			t.Errorf("%+v", r)
		}
	}
	if v.Events != 2*70+1 || count != 2*170+3 { // one is the collector's own
		t.Errorf("%d events, %d removed by record", v.Events, count)
	}
	s.take(t, a, 160, 175, now, 240) // what was removed is not taken again, nor what is held
	s.take(t, b, 1, 20, now, 240)
	f := a.fork(100)
	f.grow(t, 5)
	held, err := s.store.Take(ctx, f.arrival(101, 105, now))
	if err != nil || held.Last != 240 {
		t.Errorf("another history of what was removed: %+v, %v", held, err)
	}
	if again := s.verified(t); again.Events != v.Events {
		t.Errorf("%d events, want %d", again.Events, v.Events)
	}
	a.grow(t, 10)
	s.take(t, a, 241, 250, now, 250)
	s.verified(t)
	s.tamper(t)
}

// tamper changes the records of what was removed, each time in another way, and the events that they do not cover.
func (s *site) tamper(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	var all []Sealed
	must(t, s.store.View(ctx, func(v *View) error {
		return v.Removals(func(r Sealed) error { all = append(all, r); return nil })
	}))
	first, last := all[0], all[len(all)-1]
	stranger := &Authority{AckKey: mustInit(t).AckKey}
	forged, err := stranger.sealer("retain 1d", time.Now())(last, []Run{{Device: "ws-1", Epoch: "00000000000000aa", First: 171, Last: 180, Count: 10}})
	must(t, err)
	for name, c := range map[string]struct {
		change, back string
		args, undo   []any
		code         string
	}{
		"a record is changed": {"UPDATE removals SET body = ?1 WHERE n = 1", "UPDATE removals SET body = ?1 WHERE n = 1",
			[]any{bytes.Replace(first.Body, []byte("182d"), []byte("183d"), 1)}, []any{first.Body}, "record"},
		"a record covers more": {"UPDATE removals SET last = last + 5 WHERE n = 1", "UPDATE removals SET last = last - 5 WHERE n = 1", nil, nil, "record"},
		"a record is gone": {"DELETE FROM removals WHERE n = 1", "INSERT INTO removals (n, device, epoch, first, last, aside, body, sig) VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7)",
			nil, []any{string(first.Run.Device), first.Run.Epoch, int64(first.Run.First), int64(first.Run.Last), first.Run.Aside, first.Body, first.Sig}, "record"},
		"the last event record is gone": {"DELETE FROM removals WHERE aside = ?1 AND last = 170 AND device = 'ws-1'", "", []any{false}, nil, "missing"},
	} {
		s.sql(t, c.change, c.args...)
		v, err := Verify(ctx, s.store, s.key())
		must(t, err)
		if !has(v, c.code) {
			t.Errorf("%s: want %s, found %+v", name, c.code, v.Findings)
		}
		if c.back != "" {
			s.sql(t, c.back, c.undo...)
			s.verified(t)
		} else {
			must(t, s.restoreRemovals(t, all))
		}
	}
	f := forged[0]
	s.sql(t, "INSERT INTO removals (n, device, epoch, first, last, aside, body, sig) VALUES (?1, 'ws-1', '00000000000000aa', 171, 180, ?2, ?3, ?4)",
		int64(f.N), false, f.Body, f.Sig)
	s.sql(t, "DELETE FROM events WHERE device = 'ws-1' AND seq BETWEEN 171 AND 180")
	v, err := Verify(ctx, s.store, s.key())
	must(t, err)
	if !has(v, "record") || !has(v, "missing") {
		t.Errorf("a record with another key: %+v", v.Findings)
	}
}

func (s *site) restoreRemovals(t *testing.T, all []Sealed) error {
	s.sql(t, "DELETE FROM removals")
	for _, r := range all {
		s.sql(t, "INSERT INTO removals (n, device, epoch, first, last, aside, body, sig) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)", int64(r.N),
			string(r.Run.Device), r.Run.Epoch, int64(r.Run.First), int64(r.Run.Last), r.Run.Aside, r.Body, r.Sig)
	}
	return nil
}

func mustInit(t *testing.T) *Authority {
	t.Helper()
	a, err := Init(t.TempDir()+"/keys", nil, time.Now())
	must(t, err)
	return a
}

func has(v Verified, code string) bool {
	for _, f := range v.Findings {
		if f.Code == code {
			return true
		}
	}
	return false
}

// TestRetentionGoesOn removes the rest, so that nothing is left of an epoch but its head and the records.
func TestRetentionGoesOn(t *testing.T) { onEach(t, checkRetentionGoesOn) }

func checkRetentionGoesOn(t *testing.T, s *site) {
	ctx := context.Background()
	a, _ := years(t, s, 6)
	for m := 2; m <= 12; m++ {
		now := time.Date(2020, time.Month(m), 20, 0, 0, 0, 0, time.UTC)
		_, err := s.store.Retain(ctx, s.a, rule(t, "31d"), now, true)
		must(t, err)
		v, err := Verify(ctx, s.store, s.key())
		must(t, err)
		for _, f := range v.Findings {
			if f.Code != "fork" {
				t.Errorf("%d: %+v", m, f)
			}
		}
	}
	v := s.verified(t)
	for _, e := range v.Epochs {
		if e.Device != Own {
			t.Errorf("left: %+v", e)
		}
	}
	a.grow(t, 1)
	s.take(t, a, 61, 61, time.Now(), 61)
	s.take(t, a, 50, 61, time.Now(), 61)
	s.verified(t)
}

// TestRetentionAndTheClock: where the clock jumped ahead, nothing is removed unless somebody says that it is right.
func TestRetentionAndTheClock(t *testing.T) { onEach(t, checkRetentionAndTheClock) }

func checkRetentionAndTheClock(t *testing.T, s *site) {
	ctx := context.Background()
	years(t, s, 12)
	jumped := time.Date(2031, 3, 1, 0, 0, 0, 0, time.UTC)
	late := newChain(t, "ws-3", "00000000000000cc", 5)
	s.take(t, late, 1, 5, jumped.AddDate(0, 0, -1), 5)
	if n, err := s.store.Retain(ctx, s.a, rule(t, "6y"), jumped, false); n != 0 || !errors.Is(err, ErrClock) || !strings.Contains(err.Error(), "--clock-is-right") {
		t.Errorf("%d removed, %v", n, err)
	}
	if n, err := s.store.Retain(ctx, s.a, rule(t, "6y"), jumped, true); n != 243 || err != nil {
		t.Errorf("the clock is right: %d removed, %v", n, err)
	}
	s.verified(t)
}

// TestRetentionWhileDevicesWrite, by two collectors at once.
func TestRetentionWhileDevicesWrite(t *testing.T) { onEach(t, checkRetentionWhileDevicesWrite) }

func checkRetentionWhileDevicesWrite(t *testing.T, s *site) {
	second := s.open(t)
	defer func() { must(t, second.Close()) }()
	years(t, s, 12)
	now := time.Date(2020, 12, 20, 0, 0, 0, 0, time.UTC)
	done := make(chan error, 6)
	for i := range 4 {
		c := newChain(t, audit.Label(fmt.Sprintf("ws-9%d", i)), "00000000000000aa", 300)
		go func() {
			for n := 1; n <= 300; n += 5 {
				if h, err := s.store.Take(context.Background(), c.arrival(n, n+4, now)); err != nil || int(h.Last) != n+4 {
					done <- fmt.Errorf("%+v, %w", h, err)
					return
				}
			}
			done <- nil
		}()
	}
	removed := make(chan int64, 2)
	for _, store := range []*Store{s.store, second} {
		go func() {
			n, err := store.Retain(context.Background(), s.a, rule(t, "90d"), now, false)
			removed <- n
			done <- err
		}()
	}
	for range 6 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := <-removed + <-removed; n != 2*80+3 {
		t.Errorf("%d removed", n)
	}
	v := s.verified(t)
	if held := v.Events; held < 4*300+2*40+1 || held > 4*300+2*40+2 {
		t.Errorf("%d events", held)
	}
}

// TestRetentionWaitsForSinks: an event that a sink has not got stays, as long as anybody serves the sink.
func TestRetentionWaitsForSinks(t *testing.T) { onEach(t, checkRetentionWaitsForSinks) }

func checkRetentionWaitsForSinks(t *testing.T, s *site) {
	ctx := context.Background()
	years(t, s, 12)
	now := time.Date(2020, 12, 20, 0, 0, 0, 0, time.UTC)
	feed := s.store.Feed("siem", "ids", false)
	feed.now = func() time.Time { return now }
	hand := func(n int) { // five of one device, five of the other
		for range n / 5 {
			rs, err := feed.Next(ctx, 5)
			must(t, err)
			must(t, feed.Got(ctx, rs))
		}
	}
	hand(105)
	n, err := s.store.Retain(ctx, s.a, rule(t, "31d"), now, false)
	if n != 2*50+3 || err == nil || !strings.Contains(err.Error(), "the sink siem") || !strings.Contains(err.Error(), "2020-06-01") {
		t.Errorf("%d removed, %v: one device was handed over until May", n, err)
	}
	hand(50)
	n, err = s.store.Retain(ctx, s.a, rule(t, "31d"), now, false)
	if n != 2*20 || err == nil || !strings.Contains(err.Error(), "2020-08-01") {
		t.Errorf("%d removed, %v: one device was handed over until July", n, err)
	}
	gone := now.Add(sinkGone + served + time.Hour)
	n, err = s.store.Retain(ctx, s.a, rule(t, "62d"), gone, true)
	if err != nil || n == 0 {
		t.Errorf("%d removed, %v: nobody serves the sink any more", n, err)
	}
	s.verified(t)
}
