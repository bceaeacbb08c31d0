package notify

import (
	"context"
	"log"
	"time"

	"stepaway/words"
)

// Warning is what the enforcer says of its session's deadline. Instants are boot times.
type Warning struct {
	Due      bool // the session is warned now; false hides everything
	WarnAt   time.Duration
	Deadline time.Duration
	Action   string // the policy's word for what happens at the deadline
	Clients  string // names of the programs that will be closed, or empty
}

// Shower shows one session's warning on a notification and a banner. Its own timer stands still while the
// machine sleeps; the enforcer speaks first after that.
type Shower struct {
	Now    func() time.Duration // time since boot
	Words  words.Catalogue
	Notice Surface
	Banner Surface // nil where there is none: then the notification has to do

	warnings latest[Warning]
	reports  chan Report

	warning Warning
	hidden  Show // what the person has hidden of this warning
	failing bool // the notification cannot be shown
	notice  shown
	banner  shown
}

// shown is what a surface shows now.
type shown struct {
	on bool
	m  Message
}

// NewShower is a Shower without surfaces yet: set Notice, and Banner if there is one, before Run.
func NewShower(now func() time.Duration, w words.Catalogue) *Shower {
	return &Shower{Now: now, Words: w, warnings: newLatest[Warning](), reports: make(chan Report, 8)}
}

// Set replaces the warning. It never blocks; one goroutine may call it.
func (s *Shower) Set(w Warning) { s.warnings.put(w) }

// Report takes what the notification says of itself. Of a flood, the rest is dropped.
func (s *Shower) Report(r Report) {
	select {
	case s.reports <- r:
	default:
	}
}

// Run shows warnings until ctx ends, and then hides them.
func (s *Shower) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			s.notice.set(s.Notice, nil)
			s.banner.set(s.Banner, nil)
			return
		case w := <-s.warnings:
			if !w.Due || w.Deadline != s.warning.Deadline {
				s.hidden = Nothing
			}
			s.warning = w
		case r := <-s.reports:
			s.take(r)
		case <-timer.C:
		}
		if next := s.step(s.Now()); next != Never {
			timer.Reset(max(0, next-s.Now()))
		} else {
			timer.Stop()
		}
	}
}

// take notes what a surface reported. Hiding lasts until the next louder step.
func (s *Shower) take(r Report) {
	switch {
	case r.Continued:
		s.hidden = max(s.hidden, s.plan(s.Now()).Show)
	case r.Err != nil && !s.failing:
		s.failing = true
		log.Printf("notification cannot be shown, a banner takes its place: %v", r.Err)
	case r.Err == nil && s.failing:
		s.failing = false
		log.Print("notifications can be shown again")
	}
}

func (s *Shower) plan(now time.Duration) Step {
	if !s.warning.Due {
		return Step{Next: Never}
	}
	return Plan(now, min(s.warning.WarnAt, now), s.warning.Deadline)
}

// step shows what is to be shown at now, and says when that changes.
func (s *Shower) step(now time.Duration) (next time.Duration) {
	p := s.plan(now)
	var m *Message
	if p.Show != Nothing {
		m = s.message(p)
	}
	s.notice.set(s.Notice, unless(p.Show <= s.hidden, m))
	s.banner.set(s.Banner, unless(p.Show != Loud && (!s.failing || p.Show <= s.hidden), m))
	return p.Next
}

// unless is m, or nothing if not holds.
func unless(not bool, m *Message) *Message {
	if not {
		return nil
	}
	return m
}

func (s *Shower) message(p Step) *Message {
	left := time.Duration(p.Seconds) * time.Second
	title, what := s.Words.Warning(s.warning.Action, s.warning.Clients, left)
	return &Message{Title: title, What: what, How: s.Words.Text(words.WarnHow), Button: s.Words.Text(words.Continue), Left: left}
}

// set brings a surface to m, or hides it if m is nil; what it already shows is not shown again.
func (sh *shown) set(on Surface, m *Message) {
	switch {
	case on == nil:
	case m == nil && sh.on:
		*sh = shown{}
		on.Hide()
	case m != nil && (!sh.on || sh.m != *m):
		sh.on, sh.m = true, *m
		on.Show(*m)
	}
}
