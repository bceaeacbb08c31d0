package notify

import (
	"fmt"
	"image"
	"image/color"
	"syscall"
	"unsafe"

	"github.com/lxn/win"
	"golang.org/x/sys/windows/registry"
)

// ShowSharply makes the windows of this process as sharp as each monitor is, instead of enlarged by the system. It must be
// called before the process has a window.
func ShowSharply() error {
	err := setProcessDpiAwarenessContext(perMonitorAwareV2)
	if err != nil && setProcessDpiAwareness(perMonitorAware) == 0 { // Windows 10 before 1703
		return nil
	}
	if err != nil {
		return fmt.Errorf("ask for windows of each monitor's own size: %w", err)
	}
	return nil
}

// eyes is what the person has asked for in the settings of Windows.
type eyes struct {
	look        look
	textPercent int
	face        [win.LF_FACESIZE]uint16 // the font of messages
}

func newEyes() eyes {
	e := eyes{look: usualLook, textPercent: textPercent()}
	var contrast win.HIGHCONTRAST
	contrast.CbSize = uint32(unsafe.Sizeof(contrast))
	if win.SystemParametersInfo(win.SPI_GETHIGHCONTRAST, contrast.CbSize, unsafe.Pointer(&contrast), 0) &&
		contrast.DwFlags&win.HCF_HIGHCONTRASTON != 0 {
		e.look = contrastLook()
	}
	var metrics win.NONCLIENTMETRICS
	metrics.CbSize = uint32(unsafe.Sizeof(metrics))
	if win.SystemParametersInfo(win.SPI_GETNONCLIENTMETRICS, metrics.CbSize, unsafe.Pointer(&metrics), 0) {
		e.face = metrics.LfMessageFont.LfFaceName
	}
	return e
}

// contrastLook is the colours of the person's high contrast theme.
func contrastLook() look {
	window, text := systemColour(win.COLOR_WINDOW), systemColour(win.COLOR_WINDOWTEXT)
	face, label := systemColour(win.COLOR_BTNFACE), systemColour(win.COLOR_BTNTEXT)
	chosen, chosenText := systemColour(win.COLOR_HIGHLIGHT), systemColour(win.COLOR_HIGHLIGHTTEXT)
	return look{ground: window, frame: text, title: text, text: text, track: window, bar: chosen,
		button: face, buttonText: label, buttonFrame: label, pressed: chosen, pressedText: chosenText}
}

func systemColour(index int) color.RGBA {
	c := win.GetSysColor(index) // 0x00bbggrr
	return color.RGBA{uint8(c), uint8(c >> 8), uint8(c >> 16), 255}
}

// textPercent is "Make text bigger" of the settings, 100 to 225. The value is the person's own; others are not believed.
func textPercent() int {
	key, err := registry.OpenKey(registry.CURRENT_USER, `Software\Microsoft\Accessibility`, registry.QUERY_VALUE)
	if err != nil {
		return 100
	}
	defer key.Close()
	n, _, err := key.GetIntegerValue("TextScaleFactor")
	if err != nil || n < 100 || n > 225 {
		return 100
	}
	return int(n)
}

// font makes a font, which must be given back.
func (e eyes) font(l letters) win.HFONT {
	f := win.LOGFONT{LfHeight: -int32(l.size), LfWeight: win.FW_NORMAL, LfCharSet: win.DEFAULT_CHARSET,
		LfQuality: win.CLEARTYPE_QUALITY, LfFaceName: e.face}
	if l.bold {
		f.LfWeight = win.FW_SEMIBOLD
	}
	return win.CreateFontIndirect(&f)
}

// wrapped is how texts are broken into lines and drawn: as they are, and cut where even a line of one word is too long.
const wrapped = win.DT_WORDBREAK | win.DT_NOPREFIX | win.DT_EDITCONTROL

// measure is a measured.
func (e eyes) measure(text string, l letters, width int) image.Point {
	dc := win.GetDC(0)
	defer win.ReleaseDC(0, dc)
	r := win.RECT{Right: int32(width), Bottom: 1}
	e.text(dc, text, l, &r, wrapped|win.DT_CALCRECT)
	return image.Pt(int(r.Right), int(r.Bottom))
}

// text draws or measures a text.
func (e eyes) text(dc win.HDC, text string, l letters, r *win.RECT, format uint32) {
	p, err := syscall.UTF16PtrFromString(text)
	if err != nil { // a text with a zero in it
		return
	}
	font := e.font(l)
	defer win.DeleteObject(win.HGDIOBJ(font))
	defer win.SelectObject(dc, win.SelectObject(dc, win.HGDIOBJ(font)))
	win.DrawTextEx(dc, p, -1, r, format, nil)
}

// paint draws img, and then with draw on top of it, without flicker.
func paint(dc win.HDC, img *image.RGBA, draw func(dc win.HDC)) {
	size := img.Bounds().Size()
	header := win.BITMAPINFOHEADER{BiWidth: int32(size.X), BiHeight: -int32(size.Y), BiPlanes: 1, BiBitCount: 32}
	header.BiSize = uint32(unsafe.Sizeof(header))
	var bits unsafe.Pointer
	bitmap := win.CreateDIBSection(dc, &header, win.DIB_RGB_COLORS, &bits, 0, 0)
	if bitmap == 0 || bits == nil {
		return
	}
	defer win.DeleteObject(win.HGDIOBJ(bitmap))
	to := unsafe.Slice((*byte)(bits), len(img.Pix))
	for i := 0; i < len(to); i += 4 {
		to[i], to[i+1], to[i+2], to[i+3] = img.Pix[i+2], img.Pix[i+1], img.Pix[i], 255
	}
	memory := win.CreateCompatibleDC(dc)
	defer win.DeleteDC(memory)
	defer win.SelectObject(memory, win.SelectObject(memory, win.HGDIOBJ(bitmap)))
	win.SetBkMode(memory, win.TRANSPARENT)
	draw(memory)
	win.BitBlt(dc, 0, 0, int32(size.X), int32(size.Y), memory, 0, 0, win.SRCCOPY)
}

func colourRef(c color.RGBA) win.COLORREF { return win.RGB(c.R, c.G, c.B) }

func rectOf(r image.Rectangle) win.RECT {
	return win.RECT{Left: int32(r.Min.X), Top: int32(r.Min.Y), Right: int32(r.Max.X), Bottom: int32(r.Max.Y)}
}

func rectangleOf(r win.RECT) image.Rectangle {
	return image.Rect(int(r.Left), int(r.Top), int(r.Right), int(r.Bottom))
}
