package picture

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"testing"

	"stepaway/words"
)

var sizes = []int{16, 22, 24, 32, 48, 64}

// shape is which pixels of an icon are inked.
func shape(img *image.RGBA) []bool {
	out := make([]bool, 0, len(img.Pix)/4)
	for i := 3; i < len(img.Pix); i += 4 {
		out = append(out, img.Pix[i] > 127)
	}
	return out
}

func differing(a, b []bool) (n int) {
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}

// lightness is black and white: what remains of an icon for somebody who sees no colours.
func lightness(img *image.RGBA) []bool {
	out := make([]bool, 0, len(img.Pix)/4)
	for i := 0; i < len(img.Pix); i += 4 {
		p := color.GrayModel.Convert(color.RGBA{img.Pix[i], img.Pix[i+1], img.Pix[i+2], img.Pix[i+3]}).(color.Gray)
		out = append(out, p.Y > 90)
	}
	return out
}

func TestIconsDifferWithoutColour(t *testing.T) {
	for _, size := range sizes {
		for a := Icon(0); a < icons; a++ {
			for b := a + 1; b < icons; b++ {
				x, y := a.Draw(size), b.Draw(size)
				n := max(differing(shape(x), shape(y)), differing(lightness(x), lightness(y)))
				if least := size * size / 40; n < least {
					t.Errorf("icons %d and %d at %d pixels differ in %d pixels, want %d", a, b, size, n, least)
				}
			}
		}
	}
}

func TestIconsFillTheirSquare(t *testing.T) {
	for _, size := range sizes {
		for i := Icon(0); i < icons; i++ {
			inked := 0
			for _, on := range shape(i.Draw(size)) {
				if on {
					inked++
				}
			}
			if inked < size*size/4 || inked > size*size*4/5 {
				t.Errorf("icon %d at %d pixels covers %d of %d", i, size, inked, size*size)
			}
		}
	}
}

func TestIconColours(t *testing.T) {
	for _, c := range []struct {
		icon Icon
		x, y int
		want color.RGBA
	}{
		{Open, 12, 55, green}, {Open, 57, 50, color.RGBA{}}, {Warning, 20, 52, amber}, {Warning, 32, 30, edge},
		{Urgent, 10, 32, red}, {Urgent, 32, 24, white}, {Closed, 16, 55, blue}, {Closed, 32, 42, white},
		{Crossed, 16, 55, grey}, {Crossed, 32, 32, white},
	} {
		if got := c.icon.Draw(64).RGBAAt(c.x, c.y); got != c.want {
			t.Errorf("icon %d at %d,%d is %v, want %v", c.icon, c.x, c.y, got, c.want)
		}
	}
}

func TestPNGIsTheDrawing(t *testing.T) {
	b, err := Warning.PNG(48)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil || img.Bounds() != image.Rect(0, 0, 48, 48) {
		t.Fatalf("%v, %v", img.Bounds(), err)
	}
}

// Every character of the catalogue must be in both fonts, or a warning has boxes in it.
func TestFontsHaveEveryCharacterThatIsSaid(t *testing.T) {
	for _, w := range []Weight{Regular, Bold} {
		f := w.font()
		for _, l := range []words.Language{words.English, words.Spanish} {
			for k := words.Product; words.In(l).Text(k) != ""; k++ {
				for _, r := range words.In(l).Text(k) + "0123456789:" {
					if g := f.glyph(r); g == 0 || r != ' ' && f.outline(g) == nil {
						t.Errorf("weight %d has no %q", w, r)
					}
				}
			}
		}
	}
}

func TestTextIsInked(t *testing.T) {
	ink := func(s string) (left, right, n int) {
		img := image.NewRGBA(image.Rect(0, 0, 600, 60))
		DrawText(img, s, Bold, 40, 10, 45, color.White)
		left = 600
		for y := range 60 {
			for x := range 600 {
				if img.RGBAAt(x, y).A > 127 {
					left, right, n = min(left, x), max(right, x), n+1
				}
			}
		}
		return left, right, n
	}
	left, right, n := ink("Ihre Zeit ñ")
	width := TextWidth("Ihre Zeit ñ", Bold, 40)
	if left < 9 || left > 16 || float64(right) > 10+width || float64(right) < width-4 || n < 500 {
		t.Errorf("ink from %d to %d (%d pixels), width %.1f", left, right, n, width)
	}
	_, _, plain := ink("n")
	if _, _, accented := ink("ñ"); accented <= plain {
		t.Errorf("ñ has %d pixels and n %d: the accent is missing", accented, plain)
	}
	if _, _, missing := ink("漢\U0001F512"); missing == 0 {
		t.Error("a missing character is not drawn as a box")
	}
}

// The counting digits must not shift the text around them.
func TestDigitsAreAllAsWide(t *testing.T) {
	for r := '0'; r <= '9'; r++ {
		for _, w := range []Weight{Regular, Bold} {
			if a, b := TextWidth(string(r), w, 100), TextWidth("0", w, 100); a != b {
				t.Errorf("%c is %.1f wide and 0 is %.1f", r, a, b)
			}
		}
	}
}

func TestFitText(t *testing.T) {
	if got := FitText("short", Regular, 20, 1000); got != 20 {
		t.Errorf("got %v", got)
	}
	size := FitText("a line that is far too long", Regular, 20, 100)
	if w := TextWidth("a line that is far too long", Regular, size); w > 100.01 || w < 99 {
		t.Errorf("fitted to %.2f", w)
	}
}

func TestEveryGlyphCanBeRead(t *testing.T) {
	for _, w := range []Weight{Regular, Bold} {
		for r := range rune(0x10100) {
			w.font().outline(w.font().glyph(r))
		}
	}
}
