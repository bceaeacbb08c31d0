package notify

import "image/color"

// The colours of banner and card. White and pale on ink are above 12 to 1, where 4.5 to 1 is asked for.
var (
	ink   = color.RGBA{17, 31, 46, 255}
	track = color.RGBA{48, 66, 86, 255}
	white = color.RGBA{255, 255, 255, 255}
	pale  = color.RGBA{214, 224, 234, 255}
	amber = color.RGBA{255, 179, 28, 255}
	press = color.RGBA{255, 214, 138, 255}
)

// look is the colours of a card.
type look struct {
	ground, frame, title, text, track, bar color.RGBA
	button, buttonText, buttonFrame        color.RGBA
	pressed, pressedText                   color.RGBA
}

// usualLook is a card's where the person has not asked for colours of his own.
var usualLook = look{ground: ink, frame: track, title: white, text: pale, track: track, bar: amber,
	button: amber, buttonText: ink, buttonFrame: amber, pressed: press, pressedText: ink}
