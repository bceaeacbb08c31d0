package notify

import (
	"context"
	"encoding/binary"
	"image"
	"image/color"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"stepaway/test/rig"
	"stepaway/words"
	"stepaway/x11"
)

func startBanner(t *testing.T, display string) *Banner {
	t.Helper()
	b := NewBanner(display, "")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { b.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return b
}

// desk is a connection of the test's own, with a window over the whole screen that hears clicks.
func desk(t *testing.T, display string) (*x11.Conn, uint32) {
	t.Helper()
	conn, err := x11.Dial(t.Context(), display, x11.Cookie{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn, cover(t, conn, conn.Screen.Pixel(120, 130, 140))
}

// cover puts a window over the whole screen.
func cover(t *testing.T, conn *x11.Conn, pixel uint32) uint32 {
	t.Helper()
	w, err := conn.CreateWindow(x11.Window{Width: conn.Screen.Width, Height: conn.Screen.Height, OverrideRedirect: true,
		Background: pixel, EventMask: x11.ButtonPressMask})
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.MapWindow(w); err != nil {
		t.Fatal(err)
	}
	if err := conn.Sync(); err != nil {
		t.Fatal(err)
	}
	return w
}

func is(img image.Image, x, y int, want color.RGBA) bool {
	r, g, b, _ := img.At(x, y).RGBA()
	wr, wg, wb, _ := want.RGBA()
	return r == wr && g == wg && b == wb
}

// count is how many pixels of a part of the screen have a colour.
func count(img image.Image, box image.Rectangle, want color.RGBA) (n int) {
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			if is(img, x, y, want) {
				n++
			}
		}
	}
	return n
}

// setMonitors divides a screen of 1280 by 800 into two monitors side by side.
func setMonitors(t *testing.T, display string) {
	t.Helper()
	for _, args := range [][]string{{"left", "740/200x800/210+0+0", "screen"}, {"right", "540/150x800/210+740+0", "none"}} {
		cmd := exec.Command(rig.Tool(t, "xrandr"), append([]string{"-display", display, "--setmonitor"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("xrandr: %v: %s", err, out)
		}
	}
}

func TestBannerOnTwoMonitors(t *testing.T) {
	display := rig.Xvfb(t)
	setMonitors(t, display)
	conn, under := desk(t, display)
	rig.Xdo(t, display, "windowfocus", strconv.Itoa(int(under)))
	focus := rig.Xdo(t, display, "getwindowfocus", "-f")
	if focus != strconv.Itoa(int(under)) {
		t.Fatalf("focus is at %s", focus)
	}
	b := startBanner(t, display)
	b.Show(sample(20 * time.Second))
	var img image.Image
	rig.WaitFor(t, "the banner", func() bool {
		img = rig.Shot(t, display, "banner-two-monitors")
		return is(img, 2, 797, ink) && is(img, 742, 797, ink) && is(img, 742, 702, amber)
	})
	for _, box := range []image.Rectangle{image.Rect(0, 700, 740, 800), image.Rect(740, 700, 1280, 800)} {
		if n := count(img, box, white); n < 500 {
			t.Errorf("%v has %d white pixels: no text", box, n)
		}
		if n := count(img, box, amber); n < 500 {
			t.Errorf("%v has %d amber pixels: no sign", box, n)
		}
		bar := count(img, image.Rect(box.Min.X, 702, box.Max.X, 703), amber)
		if want := box.Dx() * 20 / 30; bar < want-2 || bar > want+2 {
			t.Errorf("%v has a bar of %d pixels, want %d", box, bar, want)
		}
	}
	if !is(img, 640, 698, color.RGBA{120, 130, 140, 255}) {
		t.Error("the banner covers more than its part of the screen")
	}
	if now := rig.Xdo(t, display, "getwindowfocus", "-f"); now != focus {
		t.Errorf("focus went from %s to %s", focus, now)
	}

	rig.Xdo(t, display, "mousemove", "300", "740", "click", "1")
	ctx, cancel := context.WithTimeout(t.Context(), rig.Patience)
	defer cancel()
	e, err := conn.Next(ctx)
	if err != nil || e.Code != x11.ButtonPress {
		t.Errorf("the click did not reach the window under the banner: %v %v", e.Code, err)
	}
	if err := conn.DestroyWindow(under); err != nil {
		t.Error(err)
	}
	b.Hide()
	rig.WaitFor(t, "the banner to go", func() bool { return !is(rig.Shot(t, display, "banner-gone"), 2, 797, ink) })
}

func TestBannerComesBackToTheTop(t *testing.T) {
	display := rig.Xvfb(t)
	b := startBanner(t, display)
	b.Show(sample(3 * time.Second))
	rig.WaitFor(t, "the banner", func() bool { return is(rig.Shot(t, display, "banner"), 2, 797, ink) })
	conn, _ := desk(t, display)
	cover(t, conn, conn.Screen.Pixel(200, 0, 0))
	if is(rig.Shot(t, display, "banner-covered"), 2, 797, ink) {
		t.Fatal("the banner is not covered")
	}
	b.Show(sample(2 * time.Second))
	rig.WaitFor(t, "the banner on top", func() bool { return is(rig.Shot(t, display, "banner-again"), 2, 797, ink) })
}

func TestBannerFollowsTheMonitors(t *testing.T) {
	display := rig.Xvfb(t)
	b := startBanner(t, display)
	b.Show(sample(9 * time.Second))
	rig.WaitFor(t, "the banner", func() bool { return is(rig.Shot(t, display, "banner"), 1278, 701, track) })
	setMonitors(t, display)
	b.Show(sample(8 * time.Second))
	rig.WaitFor(t, "two banners", func() bool {
		img := rig.Shot(t, display, "banner-moved")
		return is(img, 738, 701, track) && is(img, 742, 701, amber)
	})
}

func TestBannerLeavesPanelsFree(t *testing.T) {
	display := rig.Xvfb(t)
	conn, _ := desk(t, display)
	atom, err := conn.InternAtom("_NET_WORKAREA")
	if err != nil {
		t.Fatal(err)
	}
	var area []byte
	for _, v := range []uint32{0, 0, 1280, 760} {
		area = binary.LittleEndian.AppendUint32(area, v)
	}
	if err := conn.ChangeProperty(conn.Screen.Root, atom, x11.AtomCardinal, 32, area); err != nil {
		t.Fatal(err)
	}
	b := startBanner(t, display)
	b.Show(sample(9 * time.Second))
	rig.WaitFor(t, "the banner", func() bool {
		img := rig.Shot(t, display, "banner-above-panel")
		return is(img, 2, 757, ink) && !is(img, 2, 762, ink) && !is(img, 2, 658, ink)
	})
}

func TestAlong(t *testing.T) {
	monitor := x11.Rect{X: 100, Y: 200, Width: 1000, Height: 800}
	for free, y := range map[int]int16{0: 900, 1000: 900, 5000: 900, 960: 860, 801: 701, 800: 900, -5: 900} {
		want := x11.Rect{X: 100, Y: y, Width: 1000, Height: 100}
		if got := along(monitor, free); got != want {
			t.Errorf("free to %d: %+v, want %+v", free, got, want)
		}
	}
}

func TestBannerWithoutServer(t *testing.T) {
	b := startBanner(t, ":65000")
	for left := 5; left > 0; left-- {
		b.Show(sample(time.Duration(left) * time.Second))
	}
	b.Hide()
}

func TestContrast(t *testing.T) {
	for _, c := range []struct {
		name string
		a, b color.RGBA
		want float64
	}{{"title", white, ink, 7}, {"body", pale, ink, 7}, {"sign", amber, ink, 4.5}, {"bar", amber, track, 3}} {
		if got := contrast(c.a, c.b); got < c.want {
			t.Errorf("%s: %.1f to 1, want %.1f", c.name, got, c.want)
		}
	}
}

func TestSheetHeight(t *testing.T) {
	for monitor, want := range map[int]int{600: 100, 800: 100, 1080: 135, 2160: 270, 240: 80, 1: 1} {
		if got := sheetHeight(monitor); got != want {
			t.Errorf("%d: %d, want %d", monitor, got, want)
		}
	}
}

// Text must not run over the edge, on any monitor, in any language, for any action.
func TestSheetKeepsTextInside(t *testing.T) {
	for _, l := range []words.Language{words.English, words.Spanish} {
		for _, action := range []string{"lock", "disconnect", "sign-out", "close-clients", "close-clients-and-lock"} {
			for _, size := range []image.Point{{640, 100}, {800, 100}, {1280, 100}, {1920, 135}, {3840, 270}, {40, 10}, {1, 1}} {
				w := words.In(l)
				title, what := w.Warning(action, strings.Repeat("Example EHR ", 3), 24*time.Second)
				img := drawSheet(Message{Title: title, What: what, How: w.Text(words.WarnHow), Left: 24 * time.Second}, size.X, size.Y)
				if size.X < 600 {
					continue // only that it can be drawn
				}
				bar := barHeight(size.Y)
				for _, margin := range []image.Rectangle{image.Rect(0, bar, size.X/100, size.Y), image.Rect(size.X-size.X/100, bar, size.X, size.Y),
					image.Rect(0, bar, size.X, bar+size.Y/50), image.Rect(0, size.Y-size.Y/20, size.X, size.Y)} {
					if n := count(img, margin, ink); n != margin.Dx()*margin.Dy() {
						t.Errorf("%s in language %d at %v: ink in the margin %v", action, l, size, margin)
					}
				}
			}
		}
	}
}
