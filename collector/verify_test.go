package collector

import (
	"bytes"
	"context"
	"testing"
	"time"

	"stepaway/audit"
)

// TestVerifyFindsWhatWasChanged changes the store behind the collector's back, each time in another way.
func TestVerifyFindsWhatWasChanged(t *testing.T) {
	for name, c := range map[string]struct {
		change string
		code   string
		from   uint64
		to     uint64
	}{
		"a body":               {"UPDATE events SET body = '{}' WHERE seq = 5", "altered", 5, 5},
		"a body and its hash":  {"", "chain", 6, 6},
		"one is gone":          {"DELETE FROM events WHERE seq = 5", "missing", 5, 5},
		"several are gone":     {"DELETE FROM events WHERE seq BETWEEN 3 AND 6", "missing", 3, 6},
		"the first are gone":   {"DELETE FROM events WHERE seq < 3", "missing", 1, 2},
		"the last are gone":    {"DELETE FROM events WHERE seq > 7", "missing", 8, 10},
		"all are gone":         {"DELETE FROM events", "missing", 1, 10},
		"one is moved":         {"UPDATE events SET seq = 11 WHERE seq = 10", "misplaced", 11, 11},
		"given to another":     {"UPDATE events SET device = 'ws-9' WHERE seq = 10", "misplaced", 10, 10},
		"the ack is forgotten": {"DELETE FROM epochs", "chain", 10, 10},
		"the ack is set back":  {"UPDATE epochs SET last = 9", "chain", 10, 10},
	} {
		for _, engine := range engines {
			t.Run(name+" "+engine, func(t *testing.T) {
				s := newSiteOn(t, engine)
				ws := s.device(t, "ws-1", time.Now())
				h := &chain{device: "ws-1", epoch: "00000000000000aa"}
				h.grow(t, 10)
				s.send(t, ws, h, 1, 10, nil)
				if c.change != "" {
					s.sql(t, c.change)
				} else {
					body := bytes.Replace(h.bodies[4], []byte(`"agent":"v1"`), []byte(`"agent":"v2"`), 1)
					s.sql(t, "UPDATE events SET body = ?1, hash = ?2 WHERE seq = 5", []byte(body), audit.Hash(body))
				}
				v, err := Verify(context.Background(), s.store, s.key())
				must(t, err)
				for _, f := range v.Findings {
					if f.Code == c.code && f.From == c.from && f.To == c.to {
						return
					}
				}
				t.Errorf("want %s %d to %d, found %+v", c.code, c.from, c.to, v.Findings)
			})
		}
	}
}

func TestReport(t *testing.T) { onEach(t, checkReport) }

func checkReport(t *testing.T, s *site) {
	ctx := context.Background()
	for _, d := range []audit.Label{"ws-1", "ws-2"} {
		tok, err := NewToken(ctx, s.a, s.store, d, "", time.Hour, time.Now())
		must(t, err)
		_, err = s.store.UseToken(ctx, secretHash(tok.Secret), time.Now())
		must(t, err)
	}
	c := &chain{device: "ws-1", epoch: "00000000000000aa"}
	prev := audit.Zero
	for i, e := range []audit.Event{
		{Type: audit.LockProved, Facts: &audit.Facts{Proof: "locker"}},
		{Type: audit.LockProved, Facts: &audit.Facts{Proof: "claim"}},
		{Type: audit.LockFailed},
		{Type: audit.SpoolGap, Facts: &audit.Facts{Count: 7}},
		{Type: audit.SpoolFull, Facts: &audit.Facts{Count: 5}},
	} {
		e.V, e.Device, e.Epoch, e.Seq, e.Prev, e.Outcome = audit.Version, c.device, c.epoch, uint64(i+1), prev, audit.Success
		e.Severity, _ = audit.SeverityOf(e.Type)
		e.Wall = time.Now().UTC()
		body, hash, err := audit.Encode(e)
		must(t, err)
		c.bodies, c.hashes, prev = append(c.bodies, body), append(c.hashes, hash), hash
	}
	s.send(t, s.device(t, "ws-1", time.Now()), c, 1, 5, nil)
	all, err := Report(ctx, s.store, time.Time{})
	must(t, err)
	if len(all) != 2 || all[0].Events != 5 || all[0].Unproved != 2 || all[0].Gaps != 12 || all[0].Types[audit.LockProved] != 2 || all[1].Events != 0 {
		t.Errorf("%+v", all)
	}
	if all, err = Report(ctx, s.store, time.Now().Add(time.Hour)); err != nil || all[0].Events != 0 {
		t.Errorf("in the future: %+v, %v", all, err)
	}
}
