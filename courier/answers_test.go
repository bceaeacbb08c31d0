package courier

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/uplink"
)

// TestHostileAnswers: whatever the collector answers, nothing but its signed word for what was sent counts.
func TestHostileAnswers(t *testing.T) {
	noLeaks(t)
	w := newWorld(t)
	_, stranger, _ := ed25519.GenerateKey(nil)
	changed := func(change func(*uplink.Ack)) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			var b uplink.Batch
			uplink.Decode(r.Body, uplink.MaxBatch, &b)
			a := w.good(b)
			change(&a)
			json.NewEncoder(rw).Encode(a)
		}
	}
	text := func(status int, body string) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(status); io.WriteString(rw, body) }
	}
	endless := func(pause time.Duration) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := io.WriteString(rw, " "+strings.Repeat(" ", 1000)); err != nil {
					return
				}
				rw.(http.Flusher).Flush()
				time.Sleep(pause)
			}
		}
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		code   string
	}{
		"huge":              {text(200, `{"device":"`+strings.Repeat("x", 1<<20)+`"}`), "answer"},
		"endless":           {endless(0), "answer"},
		"endless and slow":  {endless(50 * time.Millisecond), "answer|slow"},
		"header after ages": {func(rw http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "slow"},
		"body after ages": {func(rw http.ResponseWriter, r *http.Request) {
			rw.WriteHeader(200)
			rw.(http.Flusher).Flush()
			<-r.Context().Done()
		}, "slow"},
		"huge header":     {func(rw http.ResponseWriter, r *http.Request) { rw.Header().Set("X", strings.Repeat("x", 1<<20)) }, "unreachable"},
		"empty":           {text(200, ""), "answer"},
		"null":            {text(200, "null"), "ack"},
		"empty object":    {text(200, "{}"), "ack"},
		"garbage":         {text(200, "\x00\xff garbage"), "answer"},
		"array":           {text(200, "[]"), "answer"},
		"deep":            {text(200, strings.Repeat("[", 60_000)), "answer"},
		"unknown field":   {text(200, `{"device":"ws-1","more":1}`), "answer"},
		"two answers":     {func(rw http.ResponseWriter, r *http.Request) { w.answerGood(rw, r); io.WriteString(rw, "{}") }, "answer"},
		"cut short":       {text(200, `{"device":"ws-1"`), "answer"},
		"hangs up":        {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "unreachable"},
		"no signature":    {changed(func(a *uplink.Ack) { a.Sig = "" }), "ack"},
		"bad signature":   {changed(func(a *uplink.Ack) { a.Sig = "AAAA" + a.Sig[4:] }), "ack"},
		"stranger's":      {changed(func(a *uplink.Ack) { *a = a.Sign(stranger) }), "ack"},
		"other device":    {changed(func(a *uplink.Ack) { a.Device = "ws-2"; *a = a.Sign(w.ack) }), "ack"},
		"other epoch":     {changed(func(a *uplink.Ack) { a.Epoch = "00000000000000bb"; *a = a.Sign(w.ack) }), "ack"},
		"hash not signed": {changed(func(a *uplink.Ack) { a.Hash = audit.Zero }), "ack"},
		"last not signed": {changed(func(a *uplink.Ack) { a.Last-- }), "ack"},
		"other hash":      {changed(func(a *uplink.Ack) { a.Hash = audit.Zero; *a = a.Sign(w.ack) }), "fork"},
		"beyond the head": {changed(func(a *uplink.Ack) { a.Last += 1; *a = a.Sign(w.ack) }), "fork"},
		"far beyond":      {changed(func(a *uplink.Ack) { a.Last = 1<<64 - 1; *a = a.Sign(w.ack) }), "fork"},
		"201":             {func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(201); w.answerGood(rw, r) }, "answer"},
		"400":             {text(400, `{"code":"malformed"}`), "answer"},
		"401":             {text(401, ""), "refused"},
		"403":             {text(403, `{"code":"device"}`), "refused"},
		"404":             {text(404, strings.Repeat("x", 1<<20)), "answer"},
		"429":             {text(429, ""), "busy"},
		"500":             {text(500, ""), "answer"},
		"503":             {text(503, ""), "busy"},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			ack, err := w.send(t, w.serve(t, nil, c.answer), 2*time.Second)
			if err == nil {
				t.Fatalf("taken: %+v", ack)
			}
			code := codeOf(err)
			if fork := (*ForkError)(nil); errors.As(err, &fork) {
				code = "fork"
			}
			if !strings.Contains("|"+c.code+"|", "|"+code+"|") {
				t.Errorf("code %s, want %s: %v", code, c.code, err)
			}
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestPartOfABatchIsAcknowledged(t *testing.T) {
	w := newWorld(t)
	url := w.serve(t, nil, func(rw http.ResponseWriter, r *http.Request) {
		var b uplink.Batch
		uplink.Decode(r.Body, uplink.MaxBatch, &b)
		b.Events = b.Events[:2]
		json.NewEncoder(rw).Encode(w.good(b))
	})
	if ack, err := w.send(t, url, 30*time.Second); err != nil || ack.Last != 12 {
		t.Errorf("%+v, %v", ack, err)
	}
}

func TestRetryAfter(t *testing.T) {
	w := newWorld(t)
	for header, want := range map[string]time.Duration{"7": 7 * time.Second, "": 0, "soon": 0, "-1": 0, "99999999999999": 0} {
		url := w.serve(t, nil, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Retry-After", header)
			rw.WriteHeader(503)
		})
		if _, err := w.send(t, url, 30*time.Second); retryAfter(err) != want {
			t.Errorf("%q: %v", header, retryAfter(err))
		}
	}
}

func TestBackoff(t *testing.T) {
	b := backoff{min: time.Second, max: time.Minute}
	for i := range 200 {
		top := min(time.Minute, time.Second<<min(i, 20))
		if d := b.next(); d < 100*time.Millisecond || d > top {
			t.Fatalf("try %d waits %v, at most %v", i, d, top)
		}
	}
	spread := map[time.Duration]bool{}
	for range 50 {
		spread[b.next().Round(time.Second)] = true
	}
	if len(spread) < 10 {
		t.Errorf("waits are all alike: %v", fmt.Sprint(spread))
	}
}
