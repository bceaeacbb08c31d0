package notify

import (
	"testing"
	"time"
)

func TestPlan(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		name                  string
		now, warnAt, deadline time.Duration
		want                  Step
	}{
		{"long before", 0, 600 * s, 900 * s, Step{Nothing, 900, 600 * s}},
		{"just before", 600*s - 1, 600 * s, 900 * s, Step{Nothing, 301, 600 * s}},
		{"begins", 600 * s, 600 * s, 900 * s, Step{Quiet, 300, 615 * s}},
		{"begins late", 602*s + 300, 600 * s, 900 * s, Step{Quiet, 298, 615 * s}},
		{"a minute and a bit", 839 * s, 600 * s, 900 * s, Step{Quiet, 61, 840 * s}},
		{"last minute", 840 * s, 600 * s, 900 * s, Step{Quiet, 60, 845 * s}},
		{"31 s", 869 * s, 600 * s, 900 * s, Step{Quiet, 31, 870 * s}},
		{"banner", 870 * s, 600 * s, 900 * s, Step{Loud, 30, 871 * s}},
		{"within a second", 870*s + 400*time.Millisecond, 600 * s, 900 * s, Step{Loud, 30, 871 * s}},
		{"last second", 899 * s, 600 * s, 900 * s, Step{Loud, 1, 900 * s}},
		{"at the deadline", 900 * s, 600 * s, 900 * s, Step{Nothing, 0, Never}},
		{"long after", 9000 * s, 600 * s, 900 * s, Step{Nothing, 0, Never}},
		{"short limit", 10 * s, 10 * s, 12*s + 500*time.Millisecond, Step{Loud, 3, 10*s + 500*time.Millisecond}},
		{"warning after the deadline", 0, 20 * s, 10 * s, Step{Nothing, 10, 10 * s}},
		{"no deadline", 0, 0, 0, Step{Nothing, 0, Never}},
	} {
		if got := Plan(c.now, c.warnAt, c.deadline); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// A five-minute warning wakes the machine at most 60 times, and every step comes when the last said it would.
func TestPlanSteps(t *testing.T) {
	now, deadline, steps := 3*time.Second+7, 303*time.Second+7, 0
	for now < deadline {
		s := Plan(now, 0, deadline)
		if s.Next <= now || s.Next > deadline || s.Show == Nothing {
			t.Fatalf("at %v: %+v", now, s)
		}
		now = s.Next
		steps++
	}
	if steps != 16+6+30 {
		t.Errorf("%d steps", steps)
	}
}
