//go:build linux && machine

package vm

import (
	"image"
	"image/color"

	"stepaway/test/vm/qemu"
)

// The greeter's dialog, and its colours.
var (
	dialog  = image.Rect(460, 280, 820, 520)
	white   = color.RGBA{255, 255, 255, 255}
	focus   = color.RGBA{53, 132, 228, 255}  // around the entry that is typed in
	refusal = color.RGBA{242, 230, 217, 255} // behind what is said of a wrong password
)

// The icon's place and colours.
var (
	panel = image.Rect(0, 0, qemu.Width, 40)
	green = color.RGBA{52, 168, 98, 255} // open
	amber = color.RGBA{255, 179, 28, 255}
	ink   = color.RGBA{21, 33, 48, 255} // of the desktop behind
)

// icon says whether the panel shows our icon in a colour.
func (w *ward) icon(c color.RGBA) bool {
	w.t.Helper()
	_, n := find(w.Look(), panel, c)
	return n > 15
}

// bubble says whether a notification is where XFCE shows them, and not all of the screen is covered.
func (w *ward) bubble() bool { w.t.Helper(); return w.icon(amber) && !w.bare() }

// bare says whether the desktop's background is seen where XFCE shows notifications.
func (w *ward) bare() bool {
	w.t.Helper()
	corner := image.Rect(qemu.Width-400, 60, qemu.Width-40, 140)
	_, n := find(w.Look(), corner, ink)
	return n > corner.Dx()*corner.Dy()/2
}

// asks says what the greeter waits for: "name", "password", or "" while there is none.
func (w *ward) asks() string {
	w.t.Helper()
	img := w.Look()
	_, whites := find(img, dialog, white)
	at, framed := find(img, dialog, focus)
	switch {
	case whites < 30_000 || framed < 200:
		return ""
	case at.Y-top(img) < 67:
		return "name"
	default:
		return "password"
	}
}

// greeter says whether there is one.
func (w *ward) greeter() bool { w.t.Helper(); return w.asks() != "" }

// top is where the dialog begins: it grows when it has something to say.
func top(img image.Image) int {
	for y := dialog.Min.Y; y < dialog.Max.Y; y++ {
		if _, n := find(img, image.Rect(dialog.Min.X, y, dialog.Max.X, y+1), white); n > 200 {
			return y
		}
	}
	return dialog.Max.Y
}

// refused says whether the greeter shows that the password was wrong.
func (w *ward) refused() bool {
	w.t.Helper()
	_, n := find(w.Look(), dialog, refusal)
	return n > 3000
}

// find counts the pixels of a part of the screen that have a colour, and returns their middle.
func find(img image.Image, box image.Rectangle, want color.RGBA) (middle image.Point, n int) {
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			r, g, b, _ := img.At(x, y).RGBA()
			if near(r, want.R) && near(g, want.G) && near(b, want.B) {
				middle = middle.Add(image.Pt(x, y))
				n++
			}
		}
	}
	if n > 0 {
		middle = middle.Div(n)
	}
	return middle, n
}

func near(got uint32, want uint8) bool {
	return int(got>>8)-int(want) < 10 && int(want)-int(got>>8) < 10
}
