// Package picture draws what Stepaway shows: lines of text and the icons of the tray and the warning.
//
// Failure rules: a character that the fonts do not have is drawn as an empty box, and what does not fit is cut
// off at the edge of the image. The package is pure, and needs nothing of the system: no font is looked for.
package picture

import (
	"image"
	"image/color"

	"golang.org/x/image/vector"
)

// TextWidth is the length of s in pixels, in letters of size pixels per em.
func TextWidth(s string, w Weight, size float64) float64 {
	f, units := w.font(), 0
	for _, r := range s {
		units += f.advance(f.glyph(r))
	}
	return float64(units) * size / float64(f.units)
}

// FitText is the largest size, at most size, at which s is no longer than width pixels.
func FitText(s string, w Weight, size, width float64) float64 {
	if long := TextWidth(s, w, size); long > width {
		return size * width / long
	}
	return size
}

// Ascent is how far letters of size reach above the line on which they stand, in pixels.
func Ascent(w Weight, size float64) float64 {
	f := w.font()
	return float64(f.ascent) * size / float64(f.units)
}

// DrawText writes s on img from x on, standing on the line y.
func DrawText(img *image.RGBA, s string, w Weight, size, x, y float64, c color.Color) {
	f := w.font()
	scale := size / float64(f.units)
	box := img.Bounds()
	ink := vector.NewRasterizer(box.Dx(), box.Dy())
	for _, r := range s {
		g := f.glyph(r)
		for _, curve := range f.outline(g) {
			trace(ink, curve, func(px, py float64) (float32, float32) {
				return float32(x + px*scale), float32(y - py*scale)
			})
		}
		x += float64(f.advance(g)) * scale
	}
	ink.Draw(img, box, image.NewUniform(c), image.Point{})
}

// trace adds one closed curve to ink. Between two points off the curve lies one on it.
func trace(ink *vector.Rasterizer, curve []node, place func(x, y float64) (float32, float32)) {
	n := len(curve)
	if n < 2 {
		return
	}
	middle := func(a, b node) (float32, float32) {
		return place(float64(a.x+b.x)/2, float64(a.y+b.y)/2)
	}
	at := func(a node) (float32, float32) { return place(float64(a.x), float64(a.y)) }
	last := curve[n-1]
	switch {
	case curve[0].on:
		ink.MoveTo(at(curve[0]))
	case last.on:
		ink.MoveTo(at(last))
	default:
		ink.MoveTo(middle(last, curve[0]))
	}
	for i, p := range curve {
		next := curve[(i+1)%n]
		switch {
		case p.on && next.on:
			ink.LineTo(at(next))
		case !p.on:
			bx, by := at(p)
			cx, cy := middle(p, next)
			if next.on {
				cx, cy = at(next)
			}
			ink.QuadTo(bx, by, cx, cy)
		}
	}
	ink.ClosePath()
}
