package wine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"stepaway/link"
	"stepaway/test/rig"
)

const trayPipe = `\\.\pipe\stepaway-tray-test`

var (
	ink   = color.RGBA{17, 31, 46, 255} // the card
	amber = color.RGBA{255, 179, 28, 255}
)

// lines are what a program printed so far.
type lines struct {
	mu  sync.Mutex
	all bytes.Buffer
}

// Write keeps what is printed.
func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(b)
}

func (l *lines) list() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.ReplaceAll(l.all.String(), "\r\n", "\n"), "\n")
}

// last is the rest of the newest line that begins with a word.
func (l *lines) last(word string) (rest string, n int) {
	for _, line := range l.list() {
		if r, ok := strings.CutPrefix(line, word); ok {
			rest = strings.TrimSpace(r)
			n++
		}
	}
	return rest, n
}

// trayStage is a Windows with a tray, and an enforcer's end of the link that does what the test says.
type trayStage struct {
	t       *testing.T
	w       *Windows
	heard   lines // by the enforcer
	said    lines // by the tray
	to      io.WriteCloser
	trayExe string
	tray    *exec.Cmd
}

// start starts both programs, the tray with more in its environment.
func start(t *testing.T, w *Windows, env ...string) *trayStage {
	t.Helper()
	s := &trayStage{t: t, w: w, trayExe: Build(t, "stepaway/cmd/tray")}
	enforcer := w.Command(t.Context(), Build(t, "stepaway/test/wine/enforcer"), trayPipe)
	enforcer.Stdout, enforcer.Stderr = &s.heard, &s.heard
	var err error
	if s.to, err = enforcer.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	s.run(enforcer)
	s.waitFor("the enforcer's end", func() bool { _, n := s.heard.last("listening"); return n > 0 })
	s.tray = w.Command(t.Context(), s.trayExe, "--link", trayPipe)
	s.tray.Stdout, s.tray.Stderr = &s.said, &s.said
	s.tray.Env = append(s.tray.Env, env...)
	s.run(s.tray)
	s.waitFor("the tray's hello", func() bool { _, n := s.heard.last("hello"); return n > 0 })
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the enforcer heard %q, the tray said %q", s.heard.list(), s.said.list())
		}
	})
	return s
}

// run starts a program; it ends with the test's Windows.
func (s *trayStage) run(cmd *exec.Cmd) {
	s.t.Helper()
	cmd.WaitDelay = time.Second
	rig.Start(s.t, cmd)
}

func (s *trayStage) waitFor(what string, cond func() bool) {
	s.t.Helper()
	rig.WaitFor(s.t, what, cond)
}

func (s *trayStage) tell(line string) {
	s.t.Helper()
	if _, err := fmt.Fprintln(s.to, line); err != nil {
		s.t.Fatal(err)
	}
}

// say tells the tray that its session is in phase with left to go.
func (s *trayStage) say(p link.Phase, left time.Duration) {
	s.t.Helper()
	b, err := json.Marshal(link.State{Session: "1", Phase: p, DeadlineMS: left.Milliseconds(), WarnMS: -1, LimitMS: 900_000,
		WarningMS: 300_000, Action: "lock", Role: "R&D", Source: "probe", Courier: "up"})
	if err != nil {
		s.t.Fatal(err)
	}
	s.tell(string(b))
}

func (s *trayStage) shot(name string) image.Image {
	s.t.Helper()
	return rig.Shot(s.t, s.w.Display, "wine-"+name)
}

// around is the smallest box that holds every pixel of a colour in a part of a picture.
func around(img image.Image, part image.Rectangle, c color.RGBA) (box image.Rectangle) {
	for y := part.Min.Y; y < part.Max.Y; y++ {
		for x := part.Min.X; x < part.Max.X; x++ {
			if color.RGBAModel.Convert(img.At(x, y)) == color.Color(c) {
				box = box.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	return box
}

func part(img image.Image, box image.Rectangle) image.Image {
	return img.(interface {
		SubImage(image.Rectangle) image.Image
	}).SubImage(box)
}

// card is what a picture shows of the warning.
type card struct {
	box    image.Rectangle
	text   string // read from it
	button image.Rectangle
	label  string // read from the button
}

// findCard reads the only card in a part of a picture. One that is not there has an empty box.
func (s *trayStage) findCard(img image.Image, in image.Rectangle) card {
	s.t.Helper()
	c := card{box: around(img, in, ink)}
	if c.box.Dy() < 60 {
		return card{}
	}
	right := c.box // of the icon, and below the bar
	right.Min.X += c.box.Dx() / 6
	right.Min.Y += c.box.Dy() / 12
	c.button = around(img, right, amber)
	text := right
	if !c.button.Empty() {
		text.Max.Y = c.button.Min.Y
		c.label = rig.Read(s.t, part(img, c.button))
	}
	c.text = strings.ReplaceAll(rig.Read(s.t, part(img, text)), "\n", " ")
	return c
}

// seen waits until a card with a button is there whose text holds want, and takes a picture of it.
func (s *trayStage) seen(name, want string) (image.Image, card) {
	s.t.Helper()
	var img image.Image
	var c card
	defer func() {
		if s.t.Failed() {
			s.t.Logf("%s: read %q and %q", name, c.text, c.label)
		}
	}()
	s.waitFor("the warning "+name, func() bool {
		img = s.shot(name)
		c = s.findCard(img, img.Bounds())
		return strings.Contains(c.text, want) && c.label != "" // the button is painted last
	})
	return img, c
}

func (s *trayStage) gone(name string) {
	s.t.Helper()
	s.waitFor("the warning to go: "+name, func() bool {
		img := s.shot(name)
		return around(img, img.Bounds(), ink).Dy() < 60
	})
}

func (s *trayStage) xdo(args ...string) string {
	s.t.Helper()
	return rig.Xdo(s.t, s.w.Display, args...)
}

func (s *trayStage) move(at image.Point) {
	s.t.Helper()
	s.xdo("mousemove", strconv.Itoa(at.X), strconv.Itoa(at.Y))
	time.Sleep(300 * time.Millisecond)
}

func (s *trayStage) click(at image.Point) {
	s.t.Helper()
	s.move(at)
	s.xdo("click", "1")
}

func middle(r image.Rectangle) image.Point { return r.Min.Add(r.Max).Div(2) }

// notepad waits until Notepad holds text and is in front.
func (s *trayStage) notepad(text string) {
	s.t.Helper()
	var front, holds string
	rig.WaitFor(s.t, "Notepad to hold "+text, func() bool {
		_, n := s.heard.last("notepad")
		s.tell("look")
		s.waitFor("a look", func() bool { _, now := s.heard.last("notepad"); return now > n })
		front, _ = s.heard.last("front")
		holds, _ = s.heard.last("notepad")
		return holds == strconv.Quote(text) && strings.Contains(front, "Notepad")
	})
}

// desk makes a Windows whose windows are those of the screen, with a window manager that shows what lets others shine
// through.
func desk(t *testing.T, display string, dpi int) *Windows {
	t.Helper()
	w := New(t)
	if display != "" {
		w.Display = display
	}
	w.Must(t, "reg", "delete", `HKCU\Software\Wine\Explorer`, "/v", "Desktop", "/f")
	w.Must(t, "reg", "add", `HKCU\Control Panel\Desktop`, "/v", "LogPixels", "/t", "REG_DWORD", "/d", strconv.Itoa(dpi), "/f")
	w.Restart(t)
	xfwm := exec.Command(rig.Tool(t, "xfwm4"), "--compositor=on")
	xfwm.Env = append(os.Environ(), "DISPLAY="+w.Display, "HOME="+t.TempDir())
	rig.Start(t, xfwm)
	rig.WaitFor(t, "the window manager", func() bool {
		cmd := exec.Command(rig.Tool(t, "xprop"), "-display", w.Display, "-root", "_NET_SUPPORTING_WM_CHECK")
		out, err := cmd.Output()
		return err == nil && strings.Contains(string(out), "window id")
	})
	return w
}
