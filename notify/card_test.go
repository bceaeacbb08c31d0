package notify

import (
	"image"
	"image/color"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"stepaway/picture"
	"stepaway/words"
)

// sample is a warning with left to go.
func sample(left time.Duration) Message {
	w := words.In(words.English)
	title, what := w.Warning("lock", "", left)
	return Message{Title: title, What: what, How: w.Text(words.WarnHow), Button: w.Text(words.Continue), Left: left}
}

// sized measures as Windows does, in the font of package picture.
func sized(text string, l letters, width int) image.Point {
	weight := picture.Regular
	if l.bold {
		weight = picture.Bold
	}
	long := func(s string) int { return int(math.Ceil(picture.TextWidth(s, weight, float64(l.size)))) }
	var size image.Point
	line := ""
	end := func() { size = image.Pt(max(size.X, min(long(line), width)), size.Y+l.size*4/3) }
	for _, word := range strings.Fields(text) {
		if line != "" && long(line+" "+word) > width {
			end()
			line = ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	end()
	return size
}

// TestCardFits: on every monitor, in every size and language, for every action, all of a card is on the monitor, the parts
// do not overlap, and letters are as large as was asked for wherever there is room.
func TestCardFits(t *testing.T) {
	for _, size := range []image.Point{{800, 600}, {1024, 768}, {1366, 768}, {1920, 1080}, {3840, 2160}, {1080, 1920}} {
		for _, dpi := range []int{96, 120, 144, 192, 240, 288} {
			for _, text := range []int{100, 150, 225} {
				for _, lang := range []words.Language{words.English, words.Spanish} {
					for _, action := range []string{"lock", "disconnect", "sign-out", "close-clients", "close-clients-and-lock"} {
						w := words.In(lang)
						title, what := w.Warning(action, "Example EHR, Example Imaging", 28*time.Second)
						m := Message{Title: title, What: what, How: w.Text(words.WarnHow), Button: w.Text(words.Continue)}
						for _, loud := range []bool{false, true} {
							s := scene{monitor: monitor{area: image.Rectangle{Max: size}.Add(image.Pt(-500, 77)), dpi: dpi}, loud: loud, button: true}
							s.monitor.room = s.monitor.area
							s.monitor.room.Max.Y -= 40
							checkCard(t, s, m, text)
						}
					}
				}
			}
		}
	}
}

func checkCard(t *testing.T, s scene, m Message, text int) {
	t.Helper()
	c := planCard(s, m, text, sized)
	at := image.Rectangle{Max: c.size}.Add(c.place(s))
	if !at.In(s.monitor.room) {
		t.Errorf("%v at %d dpi, text %d %%, %q: the card %v is not on the monitor %v", s.monitor.area.Size(), s.monitor.dpi, text, m.Title, at, s.monitor.room)
	}
	parts := []image.Rectangle{c.bar, c.icon, c.button}
	for _, l := range c.lines {
		parts = append(parts, l.at)
		if got := sized(l.text, l.letters, l.at.Dx()); got.X > l.at.Dx() || got.Y > l.at.Dy() {
			t.Errorf("%q: %v does not fit into %v", l.text, got, l.at)
		}
	}
	for i, p := range parts {
		if p.Empty() || !p.In(image.Rectangle{Max: c.size}) {
			t.Errorf("part %v is not on a card of %v", p, c.size)
		}
		for _, q := range parts[:i] {
			if p.Overlaps(q) {
				t.Errorf("parts %v and %v overlap", p, q)
			}
		}
	}
	if room := s.monitor.room.Size(); room.X >= 1000*s.monitor.dpi/96 && room.Y >= 700*s.monitor.dpi/96 && text == 100 && !s.loud {
		if want := titleSize * s.monitor.dpi / 96; c.lines[0].letters.size < want*4/5 {
			t.Errorf("%v at %d dpi: letters of %d, want %d", room, s.monitor.dpi, c.lines[0].letters.size, want)
		}
	}
}

func TestScenes(t *testing.T) {
	left := monitor{area: image.Rect(0, 0, 1280, 800), dpi: 96}
	right := monitor{area: image.Rect(1280, 0, 2560, 800), dpi: 144, pointer: true}
	both := []monitor{left, right}
	for _, c := range []struct {
		name           string
		monitors       []monitor
		notice, banner bool
		want           []scene
	}{
		{"nothing", both, false, false, nil},
		{"quiet", both, true, false, []scene{{monitor: left}, {monitor: right, button: true}}},
		{"loud", both, true, true, []scene{{monitor: left, dim: true, loud: true}, {monitor: right, button: true, dim: true, loud: true}}},
		{"hidden by Continue, and loud", both, false, true, []scene{{monitor: left, dim: true, loud: true}, {monitor: right, dim: true, loud: true}}},
		{"no pointer", []monitor{left}, true, false, []scene{{monitor: left, button: true}}},
		{"no monitor", nil, true, false, nil},
	} {
		if got := scenes(c.monitors, c.notice, c.banner); !slices.Equal(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestCardContrast(t *testing.T) {
	k := usualLook
	for _, c := range []struct {
		name string
		got  float64
		want float64
	}{{"title", contrast(k.title, k.ground), 7}, {"text", contrast(k.text, k.ground), 7}, {"bar", contrast(k.bar, k.track), 3},
		{"button", contrast(k.buttonText, k.button), 7}, {"pressed", contrast(k.pressedText, k.pressed), 7},
		{"button on the card", contrast(k.button, k.ground), 3}} {
		if c.got < c.want {
			t.Errorf("%s: %.1f to 1, want %.1f", c.name, c.got, c.want)
		}
	}
}

func TestCardBar(t *testing.T) {
	s := scene{monitor: monitor{room: image.Rect(0, 0, 1920, 1080), dpi: 96}, loud: true, button: true}
	for seconds, part := range map[time.Duration]float64{300: 1, 30: 1, 15: 0.5, 3: 0.1, 0: 0} {
		m := sample(seconds * time.Second)
		c := planCard(s, m, 100, sized)
		img, n := c.draw(usualLook, m), 0
		for x := range c.size.X {
			if img.RGBAAt(x, c.bar.Dy()/2) == amber {
				n++
			}
		}
		if want := part * float64(c.size.X); math.Abs(float64(n)-want) > 2 {
			t.Errorf("%d s: a bar of %d pixels, want %.0f", seconds, n, want)
		}
	}
}

// contrast is the ratio of WCAG 2.
func contrast(a, b color.RGBA) float64 {
	light := func(c color.RGBA) float64 {
		part := func(v uint8) float64 {
			f := float64(v) / 255
			if f <= 0.04045 {
				return f / 12.92
			}
			return math.Pow((f+0.055)/1.055, 2.4)
		}
		return 0.2126*part(c.R) + 0.7152*part(c.G) + 0.0722*part(c.B)
	}
	x, y := light(a)+0.05, light(b)+0.05
	return max(x, y) / min(x, y)
}

// TestCardButton: with and without the focus, pressed or not, a button looks different.
func TestCardButton(t *testing.T) {
	seen := map[string]bool{}
	for _, pressed := range []bool{false, true} {
		for _, focused := range []bool{false, true} {
			seen[string(drawButton(usualLook, image.Pt(132, 38), 1, pressed, focused).Pix)] = true
		}
	}
	if len(seen) != 4 {
		t.Errorf("%d looks, want 4", len(seen))
	}
}
