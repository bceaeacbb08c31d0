package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"stepaway/words"
)

// slate is a Surface that writes down what is shown and when.
type slate struct {
	began time.Time
	mu    sync.Mutex
	lines []string
}

func (s *slate) Show(m Message) { s.add(m.Title) }
func (s *slate) Hide()          { s.add("hidden") }
func (s *slate) add(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprintf("%s %s", time.Since(s.began), what))
}

func (s *slate) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lines)
}

// last is what the slate shows.
func (s *slate) last() string {
	seen := s.seen()
	if len(seen) == 0 {
		return ""
	}
	_, what, _ := strings.Cut(seen[len(seen)-1], " ")
	return what
}

// show runs test with a Shower whose boot time begins at 0. Without a banner, the slate for it stays empty.
func show(t *testing.T, withBanner bool, test func(s *Shower, notice, banner *slate)) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		s := NewShower(func() time.Duration { return time.Since(began) }, words.In(words.English))
		notice, banner := &slate{began: began}, &slate{began: began}
		s.Notice = notice
		if withBanner {
			s.Banner = banner
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { s.Run(ctx); close(done) }()
		test(s, notice, banner)
		cancel()
		<-done
	})
}

// after lets d pass.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

var due = Warning{Due: true, WarnAt: 0, Deadline: 300 * time.Second, Action: "lock"}

func TestWarningRunsToTheDeadline(t *testing.T) {
	show(t, true, func(s *Shower, notice, banner *slate) {
		s.Set(due)
		after(400 * time.Second)
		if n := len(notice.seen()); n != 53 {
			t.Errorf("%d notifications: %q", n, notice.seen())
		}
		for _, want := range []string{"0s This screen locks in 5:00", "15s This screen locks in 4:45", "4m0s This screen locks in 1:00",
			"4m5s This screen locks in 55 seconds", "4m59s This screen locks in 1 second", "5m0s hidden"} {
			if !slices.Contains(notice.seen(), want) {
				t.Errorf("the notification never said %q", want)
			}
		}
		if len(banner.seen()) != 31 || banner.seen()[0] != "4m30s This screen locks in 30 seconds" || banner.seen()[30] != "5m0s hidden" {
			t.Errorf("banner: %q", banner.seen())
		}
	})
}

func TestInputHidesEverything(t *testing.T) {
	show(t, true, func(s *Shower, notice, banner *slate) {
		s.Set(due)
		after(290 * time.Second)
		s.Set(Warning{Deadline: 590 * time.Second})
		after(time.Millisecond)
		if notice.last() != "hidden" || banner.last() != "hidden" {
			t.Errorf("notification %q, banner %q", notice.last(), banner.last())
		}
		n := len(notice.seen())
		after(time.Hour)
		if len(notice.seen()) != n {
			t.Errorf("shown without being due: %q", notice.seen()[n:])
		}
	})
}

// Continue hides the notification and no more: the deadline stays, and the last seconds are announced again.
func TestContinueOnlyHides(t *testing.T) {
	show(t, true, func(s *Shower, notice, banner *slate) {
		s.Set(due)
		after(10 * time.Second)
		s.Report(Report{Continued: true})
		after(time.Second)
		if notice.last() != "hidden" {
			t.Fatalf("still shown: %q", notice.last())
		}
		after(258 * time.Second)
		if len(notice.seen()) != 2 || len(banner.seen()) != 0 {
			t.Fatalf("shown again too soon: %q, %q", notice.seen(), banner.seen())
		}
		after(2 * time.Second)
		if banner.last() != "This screen locks in 29 seconds" || notice.last() != banner.last() {
			t.Fatalf("the last seconds are not announced: %q, %q", notice.last(), banner.last())
		}
		s.Report(Report{Continued: true}) // a fake service says so again: the banner stays
		after(time.Second)
		if banner.last() != "This screen locks in 28 seconds" || notice.last() != "hidden" {
			t.Errorf("notification %q, banner %q", notice.last(), banner.last())
		}
	})
}

// A new deadline is a new warning, whatever was hidden before.
func TestNewWarningAfterContinue(t *testing.T) {
	show(t, true, func(s *Shower, notice, _ *slate) {
		s.Set(due)
		after(time.Second)
		s.Report(Report{Continued: true})
		after(time.Second)
		again := due
		again.Deadline += 10 * time.Second
		s.Set(again)
		after(time.Millisecond)
		if notice.last() != "This screen locks in 5:08" {
			t.Errorf("got %q", notice.last())
		}
	})
}

func TestBannerStandsInForTheNotification(t *testing.T) {
	show(t, true, func(s *Shower, notice, banner *slate) {
		s.Set(due)
		after(time.Second)
		s.Report(Report{Err: errors.New("nobody there")})
		after(15 * time.Second)
		if banner.last() != "This screen locks in 4:45" {
			t.Errorf("no banner: %q", banner.seen())
		}
		s.Report(Report{})
		after(time.Millisecond)
		if banner.last() != "hidden" || notice.last() != "This screen locks in 4:44" {
			t.Errorf("notification %q, banner %q", notice.last(), banner.last())
		}
	})
}

func TestWithoutBannerTheNotificationHasToDo(t *testing.T) {
	show(t, false, func(s *Shower, notice, banner *slate) {
		s.Set(due)
		s.Report(Report{Err: errors.New("nobody there")})
		after(280 * time.Second)
		if notice.last() != "This screen locks in 20 seconds" || len(banner.seen()) != 0 {
			t.Errorf("%q, %q", notice.last(), banner.seen())
		}
	})
}

// The enforcer's word that a session is warned counts, even where the clock says that it is early.
func TestWarnedEarly(t *testing.T) {
	show(t, true, func(s *Shower, notice, _ *slate) {
		early := due
		early.WarnAt = 200 * time.Second
		s.Set(early)
		after(time.Millisecond)
		if notice.last() != "This screen locks in 5:00" {
			t.Errorf("got %q", notice.last())
		}
	})
}

func TestFloodOfReportsDoesNotBlock(t *testing.T) {
	s := NewShower(func() time.Duration { return 0 }, words.In(words.English))
	for range 1000 {
		s.Report(Report{Continued: true})
		s.Set(due)
	}
}
