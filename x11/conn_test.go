package x11

import (
	"context"
	"errors"
	"image"
	"image/color"
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestWindowOnARealServer(t *testing.T) {
	c := dialNew(t)
	if c.Screen.Width != 800 || c.Screen.Height != 600 || c.Screen.BitsPerPixel != 32 || c.Screen.Red != 0xff0000 {
		t.Fatalf("screen %+v", c.Screen)
	}
	w, err := c.CreateWindow(Window{X: 10, Y: -5, Width: 700, Height: 400, OverrideRedirect: true, EventMask: ExposureMask | StructureMask})
	check(t, err)
	gc, err := c.CreateGC(w)
	check(t, err)
	check(t, c.ClickThrough(w))
	check(t, c.MapWindow(w))
	for {
		e, err := c.Next(within(t))
		check(t, err)
		if e.Code == Expose && e.Window() == w {
			break
		}
	}
	img := image.NewRGBA(image.Rect(0, 0, 700, 400)) // 1.1 MB: several requests
	for i := range img.Pix {
		img.Pix[i] = 0x80
	}
	check(t, c.PutImage(w, gc, 0, 0, img))
	check(t, c.Raise(w))
	check(t, c.Place(w, 20, 30, 640, 300))
	check(t, c.Sync())
	r, err := c.GetGeometry(w)
	check(t, err)
	if r != (Rect{20, 30, 640, 300}) {
		t.Errorf("the window is at %+v", r)
	}
	a, err := c.GetAttributes(w)
	check(t, err)
	if !a.Viewable || !a.OverrideRedirect || a.InputOnly {
		t.Errorf("attributes %+v", a)
	}
	if list, err := c.QueryTree(c.Screen.Root); err != nil || len(list) != 1 || list[0] != w {
		t.Errorf("tree %v, %v; want [%d]", list, err, w)
	}
	if pid, err := c.ClientPID(w); err != nil || pid != os.Getpid() {
		t.Errorf("client of the window is %d, %v; want %d", pid, err, os.Getpid())
	}
	if pid, uid, err := c.Server(); err != nil || pid <= 1 || uid != uint32(os.Getuid()) {
		t.Errorf("server is pid %d uid %d, %v", pid, uid, err)
	}
	m, err := c.Monitors()
	check(t, err)
	if len(m) != 1 || m[0] != (Rect{0, 0, 800, 600}) {
		t.Errorf("monitors %v", m)
	}
	check(t, c.UnmapWindow(w))
	check(t, c.FreeGC(gc))
	check(t, c.DestroyWindow(w))
	check(t, c.Sync())
}

// The picture that arrives is the picture that was drawn, read back by another program.
func TestPixels(t *testing.T) {
	for _, depth := range []string{"800x600x24", "800x600x16"} {
		display, auth := xvfb(t, "-screen", "0", depth)
		c := dial(t, display, auth)
		w, err := c.CreateWindow(Window{Width: 33, Height: 20, OverrideRedirect: true, EventMask: ExposureMask})
		check(t, err)
		gc, err := c.CreateGC(w)
		check(t, err)
		check(t, c.MapWindow(w))
		_, err = c.Next(within(t))
		check(t, err)
		img := image.NewRGBA(image.Rect(0, 0, 33, 20))
		for i := range 33 * 20 {
			img.Set(i%33, i/33, color.RGBA{255, 0, 0, 255})
		}
		check(t, c.PutImage(w, gc, 0, 0, img))
		check(t, c.Sync())
		cmd := exec.Command("import", "-window", "root", "-crop", "1x1+32+19", "-depth", "8", "rgb:-")
		cmd.Env = append(os.Environ(), "DISPLAY="+display, "XAUTHORITY="+auth)
		out, err := cmd.Output()
		if err != nil || string(out) != "\xff\x00\x00" {
			t.Errorf("%s: the pixel is %x, %v (run `make deps` if import is missing)", depth, out, err)
		}
	}
}

func TestPropertiesAndMessages(t *testing.T) {
	display, auth := xvfb(t)
	a, b := dial(t, display, auth), dial(t, display, auth)
	w, err := a.CreateWindow(Window{Width: 5, Height: 5})
	check(t, err)
	name, err := a.InternAtom("_STEPAWAY_TEST")
	check(t, err)
	check(t, a.ChangeProperty(w, name, AtomString, 8, []byte("hello")))
	check(t, a.Sync())
	p, err := b.GetProperty(w, name, 3)
	check(t, err)
	if p.Type != AtomString || p.Format != 8 || string(p.Data) != "hel" {
		t.Errorf("property %+v", p)
	}
	if p, err := b.GetProperty(w, AtomWMClass, 100); err != nil || p.Type != 0 || len(p.Data) != 0 {
		t.Errorf("a property that is not there: %+v, %v", p, err)
	}
	check(t, b.AskToClose(w, 0))
	check(t, b.Sync())
	e, err := a.Next(within(t))
	check(t, err)
	if e.Code != ClientMessage || !e.Sent || e.Window() != w {
		t.Errorf("event %+v", e)
	}
}

func TestGrabTellsThatAnotherHoldsTheKeyboard(t *testing.T) {
	display, auth := xvfb(t)
	a, b := dial(t, display, auth), dial(t, display, auth)
	for name, grab := range map[string]func(*Conn) (byte, error){
		"keyboard": func(c *Conn) (byte, error) { return c.GrabKeyboard(c.Screen.Root) },
		"pointer":  func(c *Conn) (byte, error) { return c.GrabPointer(c.Screen.Root) },
	} {
		if s, err := grab(a); err != nil || s != GrabSuccess {
			t.Fatalf("%s: first grab %d, %v", name, s, err)
		}
		if s, err := grab(b); err != nil || s != AlreadyGrabbed {
			t.Fatalf("%s: second grab %d, %v", name, s, err)
		}
	}
	check(t, a.UngrabKeyboard())
	check(t, a.UngrabPointer())
	check(t, a.Sync())
	if s, err := b.GrabKeyboard(b.Screen.Root); err != nil || s != GrabSuccess {
		t.Fatalf("after the release: %d, %v", s, err)
	}
}

func TestErrorsAreToldAndDoNotBreakTheConnection(t *testing.T) {
	c := dialNew(t)
	var xe *Error
	if _, err := c.GetGeometry(12345); !errors.As(err, &xe) || xe.Code == 0 {
		t.Errorf("a request with a reply: %v", err)
	}
	check(t, c.MapWindow(12345))
	if err := c.Sync(); !errors.As(err, &xe) || xe.Code != BadWindow || xe.Major != opMapWindow {
		t.Errorf("a request without a reply: %v", err)
	}
	check(t, c.Sync())
	if _, err := c.extension("NO-SUCH"); err == nil {
		t.Error("an extension that is not there was found")
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	c := dialNew(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := c.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("wait ended with %v", err)
	}
	if _, ok, err := c.Pending(); ok || err != nil {
		t.Fatalf("pending: %v, %v", ok, err)
	}
	check(t, c.Sync()) // still of use
}

func TestWrongCookieIsRefused(t *testing.T) {
	display, _ := xvfb(t)
	for _, cookie := range []Cookie{{}, {Name: magicCookie, Data: make([]byte, 16)}} {
		if _, err := Dial(within(t), display, cookie); !errors.Is(err, ErrRefused) {
			t.Errorf("dialling with %v: %v", cookie, err)
		}
	}
	for _, bad := range []string{"", "host:0", ":", ":x", ":-1", ":99999", "/tmp/x", ":1/../2"} {
		if _, err := Dial(within(t), bad, Cookie{}); err == nil {
			t.Errorf("display %q was dialled", bad)
		}
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
