package picture

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"

	"golang.org/x/image/vector"
)

// Icon names one of the icons. They differ by shape and not by colour alone.
type Icon uint8

// The icons.
const (
	Open    Icon = iota // an open padlock, green: in use
	Warning             // a triangle with an exclamation mark, amber: will be secured soon
	Urgent              // a stop sign with an exclamation mark, red: being secured
	Closed              // a closed padlock with a keyhole, blue: secured
	Crossed             // a padlock crossed out, grey: nothing is known
	icons
)

var (
	white = color.RGBA{255, 255, 255, 255}
	edge  = color.RGBA{32, 38, 46, 255} // around every shape, so that it shows on light and dark panels
	green = color.RGBA{52, 168, 98, 255}
	amber = color.RGBA{255, 179, 28, 255}
	red   = color.RGBA{214, 58, 46, 255}
	blue  = color.RGBA{58, 122, 214, 255}
	grey  = color.RGBA{146, 153, 163, 255}
)

// Draw draws the icon on a transparent square of size pixels, at least 16.
func (i Icon) Draw(size int) *image.RGBA {
	s := sketch{img: image.NewRGBA(image.Rect(0, 0, size, size)), unit: float64(size) / 64}
	switch i {
	case Open:
		s.padlock(green, true)
		s.keyhole(26)
	case Warning:
		s.triangle()
	case Urgent:
		s.octagon()
	case Closed:
		s.padlock(blue, false)
		s.keyhole(32)
	default:
		s.padlock(grey, false)
		s.cross()
	}
	return s.img
}

// PNG is the icon as a PNG file.
func (i Icon) PNG(size int) ([]byte, error) {
	var b bytes.Buffer
	if err := png.Encode(&b, i.Draw(size)); err != nil {
		return nil, fmt.Errorf("encode icon: %w", err)
	}
	return b.Bytes(), nil
}

// sketch draws shapes whose lengths are in 64ths of the image.
type sketch struct {
	img  *image.RGBA
	unit float64
}

// point is a corner of a shape.
type point struct{ x, y float64 }

// fill paints the inside of shapes; one that runs the other way round makes a hole.
func (s sketch) fill(c color.Color, shapes ...[]point) {
	box := s.img.Bounds()
	ink := vector.NewRasterizer(box.Dx(), box.Dy())
	for _, shape := range shapes {
		for i, p := range shape {
			x, y := float32(p.x*s.unit), float32(p.y*s.unit)
			if i == 0 {
				ink.MoveTo(x, y)
			} else {
				ink.LineTo(x, y)
			}
		}
		ink.ClosePath()
	}
	ink.Draw(s.img, box, image.NewUniform(c), image.Point{})
}

// padlock draws the body and the shackle; open, the shackle is lifted and swung to the side.
func (s sketch) padlock(c color.Color, open bool) {
	cx, lift := 32.0, 0.0
	if open {
		cx, lift = 46, 3
	}
	for _, layer := range []struct {
		grow float64
		c    color.Color
	}{{2.5, edge}, {0, c}} {
		if open {
			s.fill(layer.c, shackle(cx, 21-lift, 31, 37, layer.grow))
			s.fill(layer.c, rounded(6, 29, 46, 61, 5, layer.grow))
		} else {
			s.fill(layer.c, shackle(cx, 21-lift, 34, 34, layer.grow))
			s.fill(layer.c, rounded(11, 29, 53, 61, 5, layer.grow))
		}
	}
}

// shackle is the bow of a padlock around cx: a half ring about the height cy, with legs down to left and right.
func shackle(cx, cy, right, left, grow float64) []point {
	outer, inner := 14.5+grow, 8-grow
	var p []point
	p = append(p, point{cx - outer, left + grow})
	p = append(p, arc(cx, cy, outer, math.Pi, 2*math.Pi)...)
	p = append(p, point{cx + outer, right + grow}, point{cx + inner, right + grow})
	p = append(p, arc(cx, cy, inner, 2*math.Pi, math.Pi)...)
	return append(p, point{cx - inner, left + grow})
}

// rounded is a rectangle with round corners, grown on every side.
func rounded(x0, y0, x1, y1, r, grow float64) []point {
	x0, y0, x1, y1, r = x0-grow, y0-grow, x1+grow, y1+grow, r+grow
	p := arc(x0+r, y0+r, r, math.Pi, 1.5*math.Pi)
	p = append(p, arc(x1-r, y0+r, r, 1.5*math.Pi, 2*math.Pi)...)
	p = append(p, arc(x1-r, y1-r, r, 0, math.Pi/2)...)
	return append(p, arc(x0+r, y1-r, r, math.Pi/2, math.Pi)...)
}

// arc is a part of a circle in short lines; angles run clockwise from the right.
func arc(cx, cy, r, from, to float64) []point {
	const steps = 24
	p := make([]point, 0, steps+1)
	for i := range steps + 1 {
		sin, cos := math.Sincos(from + (to-from)*float64(i)/steps)
		p = append(p, point{cx + r*cos, cy + r*sin})
	}
	return p
}

func (s sketch) keyhole(cx float64) {
	s.fill(white, arc(cx, 42, 4.8, 0, 2*math.Pi))
	s.fill(white, []point{{cx - 2.2, 43}, {cx + 2.2, 43}, {cx + 3.4, 54}, {cx - 3.4, 54}})
}

func (s sketch) triangle() {
	for _, layer := range []struct {
		grow float64
		c    color.Color
	}{{2.5, edge}, {0, amber}} {
		s.fill(layer.c, corners([]point{{32, 9}, {57, 54}, {7, 54}}, 4+layer.grow))
	}
	s.exclamation(32, 22, 28, edge)
}

func (s sketch) octagon() {
	for _, layer := range []struct {
		grow float64
		c    color.Color
	}{{2.5, edge}, {0, red}} {
		const near, far = 20.5, 43.5
		s.fill(layer.c, corners([]point{{near, 5}, {far, 5}, {59, near}, {59, far}, {far, 59}, {near, 59}, {5, far}, {5, near}}, layer.grow))
	}
	s.exclamation(32, 15, 34, white)
}

// corners is the outline of a polygon, clockwise, widened by r and so rounded at its corners.
func corners(poly []point, r float64) []point {
	var out []point
	n := len(poly)
	for i, p := range poly {
		before, after := poly[(i+n-1)%n], poly[(i+1)%n]
		from := math.Atan2(p.y-before.y, p.x-before.x) - math.Pi/2
		to := math.Atan2(after.y-p.y, after.x-p.x) - math.Pi/2
		for to < from {
			to += 2 * math.Pi
		}
		out = append(out, arc(p.x, p.y, r, from, to)...)
	}
	return out
}

// exclamation draws a mark around cx from the height y on.
func (s sketch) exclamation(cx, y, height float64, c color.Color) {
	bar := height * 0.66
	s.fill(c, []point{{cx - 3.6, y}, {cx + 3.6, y}, {cx + 2.3, y + bar}, {cx - 2.3, y + bar}})
	s.fill(c, arc(cx, y+height-2.6, 3.3, 0, 2*math.Pi))
}

// cross draws a stroke over the whole icon.
func (s sketch) cross() {
	s.fill(edge, stroke(6, 6, 58, 58, 6.5))
	s.fill(white, stroke(7, 7, 57, 57, 3))
}

// stroke is a line from one corner to the other with round ends, r to either side.
func stroke(x0, y0, x1, y1, r float64) []point {
	a := math.Atan2(y1-y0, x1-x0)
	return append(arc(x0, y0, r, a+math.Pi/2, a+1.5*math.Pi), arc(x1, y1, r, a-math.Pi/2, a+math.Pi/2)...)
}
