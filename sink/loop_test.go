package sink

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/sink/encode"
)

// told is a sink that does what the test says.
type told func(context.Context, []encode.Entry) error

func (f told) Send(ctx context.Context, es []encode.Entry) error { return f(ctx, es) }
func (told) Close()                                              {}

// TestASlowSinkDoesNotHoldBackAFastOne over the same events: each has its own position and pace.
func TestASlowSinkDoesNotHoldBackAFastOne(t *testing.T) {
	noLeaks(t)
	s := newSite(t)
	fast, slow := &repository{}, &repository{}
	var stands atomic.Bool
	stands.Store(true)
	fastSpec := s.spec(FHIR, s.serve(nil, fast.ServeHTTP)+"/r4", "batch: 20")
	slowSpec := s.spec(FHIR, s.serve(nil, func(rw http.ResponseWriter, r *http.Request) {
		if stands.Load() {
			<-r.Context().Done()
			return
		}
		slow.ServeHTTP(rw, r)
	})+"/r4", "batch: 20")
	a, b := &memory{}, &memory{}
	es := entriesTo(400)
	a.add(es...)
	b.add(es...)
	to := s.open(slowSpec).(*web)
	to.client.Timeout = 300 * time.Millisecond
	_, _ = run(t, a, s.open(fastSpec), fastSpec)
	l, said := run(t, b, to, slowSpec)
	eventually(t, "the fast one has everything", a.done)
	eventually(t, "the slow one is down", func() bool { return l.Status().State == "down" })
	if n, _ := slow.times(); n != 0 || b.at != 0 {
		t.Errorf("the slow one has %d", n)
	}
	stands.Store(false)
	eventually(t, "the slow one has everything", b.done)
	for name, r := range map[string]*repository{"fast": fast, "slow": slow} {
		if n, most := r.times(); n != 400 || most != 1 {
			t.Errorf("%s: %d events, one %d times\n%s", name, n, most, said)
		}
	}
	if text := said.String(); strings.Count(text, "not handed over") != 1 || strings.Count(text, "handed over again") != 1 {
		t.Errorf("said more or less than once:\n%s", text)
	}
}

// TestALostAnswerIsSentAgainUnderTheSameID: the receiver has the events, its answer is lost.
func TestALostAnswerIsSentAgainUnderTheSameID(t *testing.T) {
	s := newSite(t)
	r := &repository{}
	lost := 0
	spec := s.spec(FHIR, s.serve(nil, func(rw http.ResponseWriter, req *http.Request) {
		r.ServeHTTP(nothing{rw}, req)
		if r.asked%3 == 1 {
			lost++
			panic(http.ErrAbortHandler)
		}
		fmt.Fprintf(rw, `{"resourceType":"Bundle","type":"batch-response","entry":[%s]}`,
			strings.TrimSuffix(strings.Repeat(`{"response":{"status":"201"}},`, 10), ","))
	})+"/r4", "batch: 10")
	m := &memory{}
	m.add(entriesTo(100)...)
	run(t, m, s.open(spec), spec)
	eventually(t, "everything acknowledged", m.done)
	n, most := r.times()
	if n != 100 || most < 2 || lost == 0 {
		t.Errorf("%d events, one %d times, %d answers lost", n, most, lost)
	}
	t.Logf("%d answers of 10 events each lost: %d events missing, all of these there again under the same id", lost, 100-n)
}

// nothing lets no answer through.
type nothing struct{ http.ResponseWriter }

func (nothing) Write(b []byte) (int, error) { return len(b), nil }
func (nothing) WriteHeader(int)             {}

// TestAPositionThatCannotBeKept: the events are not sent once more while the process lives.
func TestAPositionThatCannotBeKept(t *testing.T) {
	m := &broken{fails: 3}
	m.add(entriesTo(25)...)
	sent := atomic.Int64{}
	l, _ := run(t, m, told(func(_ context.Context, es []encode.Entry) error { sent.Add(int64(len(es))); return nil }), specOf(t, 10))
	eventually(t, "everything dealt with", m.done)
	if sent.Load() != 25 || l.Status().Sent != 25 {
		t.Errorf("%d sent", sent.Load())
	}
}

func specOf(t *testing.T, batch int) Spec {
	t.Helper()
	specs, err := Parse("f", fmt.Appendf(nil, "sinks:\n- {name: a, kind: otlp, url: https://h, ca: system, batch: %d}\n", batch))
	check(t, err)
	return specs[0]
}

type broken struct {
	memory
	fails int
}

func (b *broken) Got(ctx context.Context, rs []audit.Record) error {
	if b.fails--; b.fails >= 0 {
		return errors.New("no space left on device")
	}
	return b.memory.Got(ctx, rs)
}

// TestUnreadableEventsAreCounted and hold up nothing.
func TestUnreadableEventsAreCounted(t *testing.T) {
	m := &memory{}
	m.add(entriesTo(10)...)
	m.rs[3].Body = []byte(`{"v":99}`)
	sent := atomic.Int64{}
	l, said := run(t, m, told(func(_ context.Context, es []encode.Entry) error { sent.Add(int64(len(es))); return nil }), specOf(t, 10))
	eventually(t, "everything dealt with", m.done)
	if st := l.Status(); sent.Load() != 9 || st.Unreadable != 1 || !strings.Contains(said.String(), "unreadable") {
		t.Errorf("%d sent, %+v\n%s", sent.Load(), st, said)
	}
}

// TestABatchGrowsWhileItFails: what came meanwhile goes along, so that one event alone cannot stop a sink.
func TestABatchGrowsWhileItFails(t *testing.T) {
	m := &memory{}
	m.add(entriesTo(1)...)
	largest := atomic.Int64{}
	run(t, m, told(func(_ context.Context, es []encode.Entry) error {
		largest.Store(max(largest.Load(), int64(len(es))))
		if len(es) < 5 {
			return &Error{Code: "refused", Err: errors.New("no")}
		}
		return &Partial{Refused: es[:1], Err: &Error{Code: "refused", Err: errors.New("no")}}
	}), specOf(t, 10))
	eventually(t, "tried", func() bool { return largest.Load() == 1 })
	m.add(entriesTo(6)[1:]...)
	eventually(t, "everything dealt with", func() bool { return m.done() || largest.Load() == 6 })
}

func TestBackoff(t *testing.T) {
	l := NewLoop(nil, nil, Options{Spec: specOf(t, 10), RetryMin: time.Second, RetryMax: time.Minute})
	spread := map[time.Duration]bool{}
	for i := range 200 {
		top := min(time.Minute, time.Second<<min(i, 20))
		d := l.backoff(0)
		if d < 100*time.Millisecond || d > top {
			t.Fatalf("try %d waits %v, at most %v", i, d, top)
		}
		spread[d.Round(time.Second)] = true
	}
	if len(spread) < 20 {
		t.Errorf("waits are all alike: %v", spread)
	}
}
