package clock

import (
	"strings"
	"testing"
	"time"
)

func TestTimerTicksAtItsTimeAndNotBefore(t *testing.T) {
	tm := timer(t)
	at := Now() + 30*time.Millisecond
	set(t, tm, at)
	tick(t, tm)
	if now := Now(); now < at {
		t.Errorf("ticked %v early", at-now)
	}
}

func TestTimerTicksAtOnceForThePast(t *testing.T) {
	tm := timer(t)
	for _, at := range []time.Duration{Now() - time.Hour, 1, 0, -time.Hour} {
		set(t, tm, at)
		tick(t, tm)
	}
}

func TestLastSettingHolds(t *testing.T) {
	tm := timer(t)
	set(t, tm, Now()+time.Hour)
	set(t, tm, Now()+time.Millisecond)
	tick(t, tm)
	set(t, tm, Now()+50*time.Millisecond)
	if err := tm.Disarm(); err != nil {
		t.Fatal(err)
	}
	other := timer(t)
	set(t, other, Now()+100*time.Millisecond)
	tick(t, other)
	select {
	case <-tm.C():
		t.Error("a disarmed timer ticked")
	default:
	}
}

func TestCloseEndsTheTimer(t *testing.T) {
	before := descriptors(t)
	for range 50 {
		tm, err := NewTimer()
		if err != nil {
			t.Fatal(err)
		}
		set(t, tm, Now()+time.Hour)
		if err := tm.Close(); err != nil {
			t.Fatal(err)
		}
		if err := tm.Set(Now()); err == nil {
			t.Fatal("a closed timer was set")
		}
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors open, %d before", after, before)
	}
}

func TestWallAndBootAgree(t *testing.T) {
	if d := time.Since(WallOf(Now())); d < -time.Second || d > time.Second {
		t.Errorf("now is %v away from now", d)
	}
	now := Now()
	if d := BootOf(WallOf(now)) - now; d < -time.Second || d > time.Second {
		t.Errorf("there and back: %v", d)
	}
	if at := BootOf(time.Now().Add(time.Hour)); at > Now() {
		t.Error("a wall time in the future is after now")
	}
	if at := BootOf(time.Unix(0, 0)); at != 0 {
		t.Errorf("a wall time before boot is %v", at)
	}
}

func TestBootID(t *testing.T) {
	a, err := BootID()
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := BootID(); a != b || strings.Count(a, "-") != 4 {
		t.Errorf("%q and %q", a, b)
	}
	Synced() // either answer is right
}

func timer(t *testing.T) *Timer {
	t.Helper()
	tm, err := NewTimer()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tm.Close() })
	return tm
}

func set(t *testing.T, tm *Timer, at time.Duration) {
	t.Helper()
	if err := tm.Set(at); err != nil {
		t.Fatal(err)
	}
}

func tick(t *testing.T, tm *Timer) {
	t.Helper()
	select {
	case <-tm.C():
	case <-time.After(20 * time.Second):
		t.Fatal("no tick")
	}
}
