package notify

import (
	"image"
	"image/draw"

	"stepaway/picture"
)

// sheetHeight is how high a banner is on a monitor: an eighth of it, at least 100 pixels, never above a third.
func sheetHeight(monitor int) int {
	return max(1, min(max(monitor/8, 100), monitor/3))
}

// drawSheet draws the banner for a monitor width pixels wide: the icon, what happens and when, how to go on, and a bar
// that shortens through the last seconds.
func drawSheet(m Message, width, height int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.Draw(img, img.Bounds(), image.NewUniform(ink), image.Point{}, draw.Src)
	w, h := float64(width), float64(height)
	drawBar(img, m)

	icon := int(h * 0.56)
	gap := h * 0.2
	room := w*0.96 - float64(icon) - gap
	title := picture.FitText(m.Title, picture.Bold, h*0.31, room)
	lines, small := []string{m.What + " " + m.How}, h*0.17
	if picture.TextWidth(lines[0], picture.Regular, small) > room {
		lines, small = []string{m.What, m.How}, h*0.15
	}
	block := picture.TextWidth(m.Title, picture.Bold, title)
	for _, line := range lines {
		block = max(block, min(room, picture.TextWidth(line, picture.Regular, small)))
	}
	left := max(0, (w-block-gap-float64(icon))/2)

	if icon >= 16 {
		at := image.Pt(int(left), (height+barHeight(height)-icon)/2)
		draw.Draw(img, image.Rectangle{at, at.Add(image.Pt(icon, icon))}, picture.Warning.Draw(icon), image.Point{}, draw.Over)
	}
	text := left + float64(icon) + gap
	y := h*(0.5-0.06*float64(len(lines))) + float64(barHeight(height))
	picture.DrawText(img, m.Title, picture.Bold, title, text, y, white)
	for _, line := range lines {
		y += max(h*0.28-small*0.35*float64(len(lines)-1), small*1.3)
		picture.DrawText(img, line, picture.Regular, picture.FitText(line, picture.Regular, small, room), text, y, pale)
	}
	return img
}

func barHeight(height int) int { return max(3, height/20) }

func drawBar(img *image.RGBA, m Message) {
	box := img.Bounds()
	bar := box
	bar.Max.Y = bar.Min.Y + barHeight(box.Dy())
	draw.Draw(img, bar, image.NewUniform(track), image.Point{}, draw.Src)
	part := min(1, max(0, m.Left.Seconds()/LoudTime.Seconds()))
	bar.Max.X = bar.Min.X + int(float64(box.Dx())*part)
	draw.Draw(img, bar, image.NewUniform(amber), image.Point{}, draw.Src)
}
