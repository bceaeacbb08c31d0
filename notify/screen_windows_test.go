package notify

import (
	"context"
	"os"
	"testing"
	"time"

	"stepaway/words"
)

// TestMain shows a warning instead of testing, when a test on Linux wants to see one. Wine has no high contrast theme to
// ask for, so it is asked for here.
func TestMain(m *testing.M) {
	if os.Getenv("STEPAWAY_SHOW") == "high contrast" {
		showContrast()
	}
	os.Exit(m.Run())
}

func showContrast() {
	if err := ShowSharply(); err != nil {
		panic(err)
	}
	began := time.Now()
	s := NewShower(func() time.Duration { return time.Since(began) }, words.In(words.English))
	screen := NewScreen(s.Report)
	screen.see = func() eyes {
		e := newEyes()
		e.look = contrastLook()
		return e
	}
	s.Notice, s.Banner = screen.Notice(), screen.Banner()
	go s.Run(context.Background())
	s.Set(Warning{Due: true, Deadline: 10 * time.Minute, Action: "lock"})
	panic(screen.Run(context.Background()))
}
