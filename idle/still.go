package idle

import (
	"math"
	"time"
)

const (
	nudge  = 10               // pixels, or counts of a mouse: a smaller move is a bump of the table
	settle = 10 * time.Second // a pointer that rested this long begins anew
)

// still is a pointer, and decides when it has been moved. Moves add up as a way from where the pointer lay, so one that
// trembles in place has not moved, and one that drifts a pixel a minute has not either.
type still struct {
	x, y float64
	last time.Duration
}

// move adds a way and tells whether the pointer has now been moved by a person. That begins anew.
func (s *still) move(dx, dy, least float64, at time.Duration) bool {
	if at-s.last > settle {
		s.x, s.y = 0, 0
	}
	s.last = at
	s.x += dx
	s.y += dy
	if !(math.Abs(s.x) >= least || math.Abs(s.y) >= least) { // also when a value is no number
		return false
	}
	s.x, s.y = 0, 0
	return true
}
