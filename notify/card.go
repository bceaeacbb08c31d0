package notify

import (
	"image"
	"image/color"
	"image/draw"

	"stepaway/picture"
)

// monitor is one monitor of a desktop, in pixels of the whole desktop.
type monitor struct {
	area    image.Rectangle
	room    image.Rectangle // what task bars leave free
	dpi     int             // 96 is 100 %
	pointer bool            // the pointer is on it
}

// Parts of what is on one monitor.
type scene struct {
	monitor monitor
	dim     bool // everything else is dark
	button  bool // the card has a button
	loud    bool // the card is larger, and in the middle
}

// scenes is what belongs on each monitor: the card with the button where the pointer is, unless the person has hidden it,
// and copies elsewhere.
func scenes(monitors []monitor, notice, banner bool) []scene {
	if !notice && !banner {
		return nil
	}
	each := make([]scene, len(monitors))
	first := 0
	for i, m := range monitors {
		each[i] = scene{monitor: m, dim: banner, loud: banner}
		if m.pointer {
			first = i
		}
	}
	if len(each) > 0 {
		each[first].button = notice
	}
	return each
}

// letters is how a text is written.
type letters struct {
	size int // pixels per em
	bold bool
}

// measured is the width and height in pixels of a text that is broken into lines no longer than width.
type measured func(text string, l letters, width int) image.Point

// line is a text and its place on a card.
type line struct {
	text    string
	letters letters
	at      image.Rectangle
	title   bool
}

// card is where everything is on a card, in pixels from its corner.
type card struct {
	size   image.Point
	frame  int
	bar    image.Rectangle
	icon   image.Rectangle
	lines  []line
	button image.Rectangle // empty: none
	label  letters         // of the button
}

// Lengths of a card at 96 dpi.
const (
	cardWidth   = 500
	cardLeast   = 320 // narrower, everything is made smaller
	cardMargin  = 16  // to the edges of the monitor
	cardPadding = 20
	cardIcon    = 48
	cardBar     = 5
	titleSize   = 22
	textSize    = 15
	buttonSize  = 16
	loudPercent = 130
)

// planCard plans a card for one monitor, in the size that the monitor's dots and the person's text size (100 is usual) ask
// for; where that has no room, as large as it fits.
func planCard(s scene, m Message, textPercent int, measure measured) card {
	percent := s.monitor.dpi * 100 / 96
	if s.loud {
		percent = percent * loudPercent / 100
	}
	room := s.monitor.room.Size()
	for ; ; percent = percent * 9 / 10 {
		p := planner{percent: percent, textPercent: textPercent, measure: measure}
		margin := min(p.unit(cardMargin), room.X/20)
		p.width = min(p.unit(cardWidth), room.X-2*margin)
		c := p.plan(s, m)
		if percent < leastPercent || p.width >= p.unit(cardLeast) && c.size.Y <= room.Y-2*margin {
			return c
		}
	}
}

// leastPercent ends the search for a size that fits.
const leastPercent = 40

// planner plans cards of one size.
type planner struct {
	percent, textPercent int
	width                int
	measure              measured
}

// unit is a length at 96 dpi in pixels, at least one.
func (p planner) unit(n int) int { return max(1, (n*p.percent+50)/100) }

func (p planner) letters(size int, bold bool) letters {
	return letters{size: max(6, p.unit(size)*p.textPercent/100), bold: bold}
}

// titleLetters are a little smaller where that spares a second line.
func (p planner) titleLetters(title string, width int) letters {
	usual := p.letters(titleSize, true)
	for l := usual; l.size*5 >= usual.size*4; l.size-- {
		if one := p.measure("X", l, width).Y; p.measure(title, l, width).Y <= one {
			return l
		}
	}
	return usual
}

func (p planner) plan(s scene, m Message) card {
	pad, icon := p.unit(cardPadding), p.unit(cardIcon)
	c := card{frame: p.unit(2), bar: image.Rect(0, 0, p.width, p.unit(cardBar))}
	top := c.bar.Max.Y + pad
	c.icon = image.Rect(pad, top, pad+icon, top+icon)
	left := c.icon.Max.X + p.unit(16)
	y := top
	add := func(text string, l letters, title bool, gap int) {
		if text == "" {
			return
		}
		size := p.measure(text, l, p.width-pad-left)
		y += gap
		c.lines = append(c.lines, line{text: text, letters: l, title: title, at: image.Rect(left, y, p.width-pad, y+size.Y)})
		y += size.Y
	}
	add(m.Title, p.titleLetters(m.Title, p.width-pad-left), true, 0)
	if s.button {
		add(m.What, p.letters(textSize, false), false, p.unit(6))
	}
	add(m.How, p.letters(textSize, s.button), false, p.unit(8))
	y = max(y, c.icon.Max.Y)
	if s.button {
		y += p.unit(16)
		c.label = p.letters(buttonSize, true)
		text := p.measure(m.Button, c.label, p.width-2*pad-p.unit(32))
		width := min(p.width-2*pad, max(p.unit(132), text.X+p.unit(40)))
		c.button = image.Rect(p.width-pad-width, y, p.width-pad, y+max(p.unit(38), text.Y+p.unit(14)))
		y = c.button.Max.Y
	}
	c.size = image.Pt(p.width, y+pad)
	return c
}

// place is where a card goes: in the corner where Windows shows notifications, and in the middle in the last seconds.
func (c card) place(s scene) image.Point {
	room := s.monitor.room
	if s.loud {
		return room.Min.Add(room.Size().Sub(c.size).Div(2))
	}
	margin := min(cardMargin*s.monitor.dpi/96, room.Dx()/20)
	return image.Pt(max(room.Min.X, room.Max.X-margin-c.size.X), max(room.Min.Y, room.Max.Y-margin-c.size.Y))
}

// draw draws a card without its texts and its button.
func (c card) draw(k look, m Message) *image.RGBA {
	img := image.NewRGBA(image.Rectangle{Max: c.size})
	fill(img, img.Bounds(), k.frame)
	fill(img, img.Bounds().Inset(c.frame), k.ground)
	fill(img, c.bar, k.track)
	bar := c.bar
	bar.Max.X = bar.Min.X + int(float64(bar.Dx())*min(1, max(0, m.Left.Seconds()/LoudTime.Seconds())))
	fill(img, bar, k.bar)
	if c.icon.Dx() >= 16 {
		draw.Draw(img, c.icon, picture.Warning.Draw(c.icon.Dx()), image.Point{}, draw.Over)
	}
	return img
}

// drawButton draws a button without its text.
func drawButton(k look, size image.Point, frame int, pressed, focused bool) *image.RGBA {
	img := image.NewRGBA(image.Rectangle{Max: size})
	ground, text := k.button, k.buttonText
	if pressed {
		ground, text = k.pressed, k.pressedText
	}
	fill(img, img.Bounds(), k.buttonFrame)
	fill(img, img.Bounds().Inset(frame), ground)
	if focused {
		fill(img, img.Bounds().Inset(2*frame), text)
		fill(img, img.Bounds().Inset(3*frame), ground)
	}
	return img
}

func fill(img *image.RGBA, r image.Rectangle, c color.RGBA) {
	draw.Draw(img, r, image.NewUniform(c), image.Point{}, draw.Src)
}
