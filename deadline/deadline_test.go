package deadline

import (
	"math/rand/v2"
	"testing"
	"time"
)

const s = time.Second

var usual = Limits{Idle: 60 * s, Warn: 20 * s, Retry: 10 * s, Stages: []time.Duration{100 * s, 200 * s}}

// all advances until there is nothing more to decide. A machine that never comes to an end fails by its length.
func all(m *Machine, now Instant) []Transition {
	var ts []Transition
	for t, due := m.Advance(now); due && len(ts) < 50; t, due = m.Advance(now) {
		ts = append(ts, t)
	}
	return ts
}

// one expects exactly one transition.
func one(t *testing.T, m *Machine, now Instant, want Transition) {
	t.Helper()
	got := all(m, now)
	if len(got) != 1 || got[0] != want {
		t.Fatalf("at %v: %+v, want only %+v", now, got, want)
	}
}

// none expects no transition.
func none(t *testing.T, m *Machine, now Instant) {
	t.Helper()
	if got := all(m, now); len(got) != 0 {
		t.Fatalf("at %v: %+v, want none", now, got)
	}
}

func TestLeftAlone(t *testing.T) {
	m := New(1000*s, usual)
	if m.Next() != 1040*s || m.WarnAt() != 1040*s || m.Deadline() != 1060*s || m.LastInput() != 1000*s {
		t.Fatalf("next %v, warn %v, deadline %v", m.Next(), m.WarnAt(), m.Deadline())
	}
	none(t, m, 1040*s-1)
	one(t, m, 1040*s, Transition{From: Active, To: Warned, At: 1040 * s})
	if m.Next() != 1060*s {
		t.Fatalf("warned, next %v", m.Next())
	}
	none(t, m, 1060*s-1)
	one(t, m, 1060*s, Transition{From: Warned, To: Expired, At: 1060 * s, Attempt: 1})
	if m.Next() != 1070*s {
		t.Fatalf("expired, next %v", m.Next())
	}
	none(t, m, 1070*s-1)
	one(t, m, 1071*s, Transition{From: Expired, To: Expired, At: 1070 * s, Attempt: 2})
	if m.Next() != 1081*s {
		t.Fatalf("expired again, next %v", m.Next())
	}
	m.SetSecured(1072*s, false)
	if m.State() != Secured || m.Next() != 1172*s || m.Deadline() != 1060*s {
		t.Fatalf("%v, next %v, deadline %v", m.State(), m.Next(), m.Deadline())
	}
	one(t, m, 1172*s, Transition{From: Secured, To: Secured, At: 1172 * s, Stage: 1})
	one(t, m, 1300*s, Transition{From: Secured, To: Secured, At: 1272 * s, Stage: 2})
	if m.Next() != Never {
		t.Fatalf("all stages told, next %v", m.Next())
	}
	none(t, m, 99999*s)
}

func TestInput(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(m *Machine)
		want Instant // deadline after it
	}{
		{"puts the deadline off", func(m *Machine) { m.Input(30 * s) }, 90 * s},
		{"never moves back", func(m *Machine) { m.Input(30 * s); m.Input(20 * s) }, 90 * s},
		{"counts until just before the deadline", func(m *Machine) { m.Input(60*s - 1) }, 120*s - 1},
		{"at the deadline is too late", func(m *Machine) { m.Input(60 * s) }, 60 * s},
		{"after the deadline is too late", func(m *Machine) { m.Input(61 * s) }, 60 * s},
		{"calls off a warning", func(m *Machine) { all(m, 45*s); m.Input(50 * s) }, 110 * s},
		{"does not call off what expired", func(m *Machine) { all(m, 60*s); m.Input(61 * s) }, 60 * s},
		{"does not open a lock", func(m *Machine) { all(m, 60*s); m.SetSecured(61*s, false); m.Input(62 * s) }, 60 * s},
		{"is return where only clients were closed", func(m *Machine) { all(m, 60*s); m.SetSecured(61*s, true); m.Input(62 * s) }, 122 * s},
		{"from before the clients were closed is no return", func(m *Machine) { all(m, 60*s); m.SetSecured(62*s, true); m.Input(61 * s) }, 60 * s},
		{"shortening brings it nearer", func(m *Machine) { m.Shorten(10*s, 20*s) }, 20 * s},
		{"shortening never puts it off", func(m *Machine) { m.Shorten(10*s, 200*s) }, 60 * s},
		{"shortening twice keeps the nearer", func(m *Machine) { m.Shorten(10*s, 20*s); m.Shorten(10*s, 30*s) }, 20 * s},
		{"input after shortening gives the limit back", func(m *Machine) { m.Shorten(10*s, 20*s); m.Input(15 * s) }, 75 * s},
		{"the click that shortened, seen late, does not", func(m *Machine) { m.Shorten(10*s, 20*s); m.Input(9 * s) }, 20 * s},
		{"a shorter limit holds at once", func(m *Machine) { l := usual; l.Idle = 30 * s; m.SetLimits(l) }, 30 * s},
		{"a longer limit holds at once", func(m *Machine) { l := usual; l.Idle = 90 * s; m.SetLimits(l) }, 90 * s},
		{"a longer limit does not call off what expired", func(m *Machine) { all(m, 60*s); l := usual; l.Idle = 90 * s; m.SetLimits(l) }, 60 * s},
		{"unlocking is input", func(m *Machine) { all(m, 60*s); m.SetSecured(61*s, false); m.Unlocked(80 * s) }, 140 * s},
		{"unlocking never moves back", func(m *Machine) { m.Input(30 * s); all(m, 90*s); m.Unlocked(20 * s) }, 90 * s},
		{"unlocking what is open changes nothing", func(m *Machine) { m.Unlocked(50 * s) }, 60 * s},
		{"a lock that is lost is expired", func(m *Machine) { all(m, 60*s); m.SetSecured(61*s, false); m.Lost(70 * s) }, 70 * s},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := New(0, usual)
			c.do(m)
			if got := m.Deadline(); got != c.want {
				t.Errorf("deadline %v, want %v", got, c.want)
			}
		})
	}
}

func TestWarningIsCalledOff(t *testing.T) {
	m := New(0, usual)
	one(t, m, 41*s, Transition{From: Active, To: Warned, At: 40 * s})
	m.Input(50 * s)
	one(t, m, 50*s, Transition{From: Warned, To: Active, At: 50 * s})
	none(t, m, 89*s)
}

func TestLateLookExpiresAtOnce(t *testing.T) {
	m := New(0, usual)
	one(t, m, 500*s, Transition{From: Active, To: Expired, At: 60 * s, Attempt: 1})
	if m.Next() != 510*s || m.Deadline() != 60*s {
		t.Fatalf("next %v, deadline %v", m.Next(), m.Deadline())
	}
}

func TestWarningIsAtMostHalf(t *testing.T) {
	l := Limits{Idle: 10 * s, Warn: 300 * s}
	if m := New(0, l); m.WarnAt() != 5*s {
		t.Fatalf("warned at %v", m.WarnAt())
	}
	l.Warn = -s
	if m := New(0, l); m.WarnAt() != 10*s {
		t.Fatalf("no warning, yet warned at %v", m.WarnAt())
	}
}

func TestLostLockIsTakenUpAtOnce(t *testing.T) {
	m := New(0, usual)
	all(m, 60*s)
	m.SetSecured(61*s, false)
	all(m, 161*s)
	m.Lost(170 * s)
	m.SetSecured(170*s, false)
	if m.Next() != 270*s {
		t.Fatalf("after a stage, stages do not begin anew: next %v", m.Next())
	}
	m.Lost(70 * s)
	one(t, m, 70*s, Transition{From: Expired, To: Expired, At: 70 * s, Attempt: 1})
	m.SetSecured(71*s, false)
	if m.Next() != 171*s {
		t.Fatalf("stages do not begin anew: next %v", m.Next())
	}
}

func TestLostMeansNothingToAnOpenSession(t *testing.T) {
	m := New(0, usual)
	m.Lost(10 * s)
	if m.State() != Active {
		t.Fatalf("%v", m.State())
	}
}

func TestRetryDefaultsToASecond(t *testing.T) {
	m := New(0, Limits{Idle: 10 * s})
	all(m, 10*s)
	if m.Next() != 11*s {
		t.Fatalf("next %v", m.Next())
	}
}

func TestInstantsDoNotOverflow(t *testing.T) {
	m := New(Never-5*s, usual)
	if m.Deadline() != Never {
		t.Fatalf("deadline %v", m.Deadline())
	}
	m = New(0, Limits{Idle: Never, Warn: 0})
	if m.Deadline() != Never || len(all(m, 1000*time.Hour)) != 0 {
		t.Fatalf("deadline %v", m.Deadline())
	}
}

func TestStatesHaveNames(t *testing.T) {
	for st, want := range map[State]string{Active: "active", Warned: "warned", Expired: "expired", Secured: "secured"} {
		if st.String() != want {
			t.Errorf("%d is %q", st, st)
		}
	}
}

// model is what a deadline is, said without a machine: while the session is open, the last input that came
// before the deadline of its day, plus the limit.
type model struct {
	input Instant
	due   bool
}

// TestRandomSchedules plays random facts at random times and holds the machine to the rules: it expires at the
// first look at or after input plus limit and never earlier, Next is never later than the next decision, and
// the input after the deadline counts for nothing.
func TestRandomSchedules(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 7))
		play(t, seed, r)
	}
}

func play(t *testing.T, seed uint64, r *rand.Rand) {
	l := Limits{Idle: time.Duration(5+r.IntN(100)) * s, Warn: time.Duration(r.IntN(60)) * s, Retry: time.Duration(1+r.IntN(9)) * s}
	now := Instant(r.IntN(1000)) * s
	m, want := New(now, l), model{input: now}
	for range 60 {
		step := time.Duration(r.Int64N(int64(l.Idle / 2)))
		if r.IntN(4) == 0 { // look exactly when the machine asks to
			step = max(m.Next()-now, 0)
		}
		if next := m.Next(); now+step < next && len(all(m, now+step)) > 0 {
			t.Fatalf("seed %d: a decision at %v, before Next %v", seed, now+step, next)
		}
		now += step
		want.due = want.due || now >= want.input+l.Idle
		all(m, now)
		if got := m.State() == Expired; got != want.due {
			t.Fatalf("seed %d: expired %v at %v, last input %v, limit %v", seed, got, now, want.input, l.Idle)
		}
		if r.IntN(3) == 0 {
			at := now - time.Duration(r.Int64N(int64(2*s)))
			m.Input(at)
			if !want.due && at > want.input {
				want.input = at
			}
			all(m, now)
		}
		if want.due && r.IntN(5) == 0 {
			m.SetSecured(now, false)
			m.Unlocked(now)
			want = model{input: now}
		}
	}
}

// FuzzMachine plays arbitrary calls and checks what must hold whatever comes.
func FuzzMachine(f *testing.F) {
	f.Add([]byte{0, 10, 1, 5, 2, 60, 3, 0, 4, 7, 5, 9})
	f.Add([]byte{1, 255, 1, 255, 2, 255, 6, 1, 6, 1})
	f.Add([]byte{3, 1, 4, 1, 5, 1, 0, 1, 2, 200})
	f.Fuzz(func(t *testing.T, calls []byte) {
		m, now := New(0, usual), Instant(0)
		for i := 0; i+1 < len(calls); i += 2 {
			arg := time.Duration(calls[i+1]) * s
			before := m.Deadline()
			switch calls[i] % 7 {
			case 0:
				now += arg
			case 1:
				m.Input(now - arg)
			case 2:
				m.Shorten(now, now+arg)
				if m.Deadline() > before {
					t.Fatalf("shortening moved %v to %v", before, m.Deadline())
				}
			case 3:
				m.SetSecured(now, arg > 100*s)
			case 4:
				m.Lost(now)
			case 5:
				m.Unlocked(now)
			case 6:
				m.SetLimits(Limits{Idle: arg, Warn: arg / 3, Retry: arg / 4})
			}
			if n := len(all(m, now)); n > 6 {
				t.Fatalf("%d decisions at one instant", n)
			}
			if st := m.State(); (st == Active || st == Warned) && now >= m.Deadline() {
				t.Fatalf("%v at %v, after the deadline %v", st, now, m.Deadline())
			}
			if m.LastInput() > now {
				t.Fatalf("input %v in the future of %v", m.LastInput(), now)
			}
		}
	})
}

func BenchmarkAdvance(b *testing.B) {
	m := New(0, usual)
	now := Instant(0)
	for b.Loop() {
		now += s
		m.Input(now)
		m.Advance(now)
		_ = m.Next()
	}
}

func TestStageIsRedone(t *testing.T) {
	m := New(1000*s, usual)
	m.SetSecured(1072*s, false)
	m.Redo(1073 * s) // nothing was told yet
	one(t, m, 1172*s, Transition{From: Secured, To: Secured, At: 1172 * s, Stage: 1})
	m.Redo(1182 * s)
	if next := m.Next(); next != 1182*s {
		t.Errorf("next %v", next)
	}
	one(t, m, 1182*s, Transition{From: Secured, To: Secured, At: 1182 * s, Stage: 1})
	one(t, m, 1272*s, Transition{From: Secured, To: Secured, At: 1272 * s, Stage: 2})
	m.Redo(5000 * s)
	m.SetSecured(1300*s, false) // another lock
	one(t, m, 1400*s, Transition{From: Secured, To: Secured, At: 1400 * s, Stage: 1})
}

func TestStagesAtOneTimeAreToldOneByOne(t *testing.T) {
	l := usual
	l.Stages = []time.Duration{100 * s, 100 * s}
	m := New(1000*s, l)
	m.SetSecured(1072*s, false)
	if got, due := m.Advance(1172 * s); !due || got.Stage != 1 {
		t.Fatalf("first %+v", got)
	}
	m.SetLimits(l)
	if got, due := m.Advance(1172 * s); !due || got.Stage != 2 {
		t.Fatalf("second %+v", got)
	}
}

func TestStagesThatChangeAreToldByTheirTime(t *testing.T) {
	for name, c := range map[string]struct {
		stages []time.Duration
		next   Instant
	}{
		"the first is taken away":  {[]time.Duration{200 * s}, 1272 * s},
		"one comes before it":      {[]time.Duration{50 * s, 100 * s, 200 * s}, 1272 * s},
		"the next comes to be due": {[]time.Duration{100 * s, 101 * s}, 1173 * s},
		"none is left":             {nil, Never},
	} {
		m := New(1000*s, usual)
		m.SetSecured(1072*s, false)
		one(t, m, 1172*s, Transition{From: Secured, To: Secured, At: 1172 * s, Stage: 1})
		l := usual
		l.Stages = c.stages
		m.SetLimits(l)
		if m.Next() != c.next {
			t.Errorf("%s: next %v, want %v", name, m.Next(), c.next)
		}
	}
}
