// Package still decides when a pointer has been moved by a person.
//
// Failure rules: a move that is no number is no move. The package is pure: it holds no clock.
package still

import (
	"math"
	"time"
)

const (
	Nudge  = 10               // pixels, or counts of a mouse: a smaller move is a bump of the table
	Settle = 10 * time.Second // a pointer that rested this long begins anew
)

// Pointer is one pointer. Moves add up as a way from where it lay, so one that trembles in place has not moved, and one that
// drifts a pixel a minute has not either. The zero value lies still.
type Pointer struct {
	x, y float64
	last time.Duration
}

// Move adds a way and tells whether the pointer has now been moved by a person, at least as far as least. That begins anew.
func (p *Pointer) Move(dx, dy, least float64, at time.Duration) bool {
	if at-p.last > Settle {
		p.x, p.y = 0, 0
	}
	p.last = at
	p.x += dx
	p.y += dy
	if !(math.Abs(p.x) >= least || math.Abs(p.y) >= least) { // also when a value is no number
		return false
	}
	p.x, p.y = 0, 0
	return true
}
