package wine

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"stepaway/link"
	"stepaway/picture"
	"stepaway/test/rig"
)

// TestTrayWarning: the warning is read from the screen, takes no focus, is clicked away, comes back louder and darkens the
// screen, and works with the keyboard for one who gives it the focus.
func TestTrayWarning(t *testing.T) {
	t.Parallel() // it mostly waits
	w := desk(t, "", 96)
	s := start(t, w)
	if hello, _ := s.heard.last("hello"); hello != "tray 1 0.0.1-test" {
		t.Errorf("hello %q", hello)
	}
	s.say(link.Active, 15*time.Minute)
	s.run(w.Command(t.Context(), "notepad"))
	s.waitFor("Notepad", func() bool {
		return around(s.shot("notepad"), image.Rect(100, 100, 500, 400), color.RGBA{255, 255, 255, 255}).Dx() > 300
	})
	s.click(image.Pt(300, 300))
	s.xdo("type", "--delay", "40", "before ")
	s.notepad("before ")

	s.say(link.Warned, 235*time.Second)
	_, c := s.seen("quiet", "This screen locks in 3:")
	if !strings.Contains(c.text, "Nothing will be lost") || !strings.Contains(c.text, "press a key or move the mouse") || c.label != "Continue" {
		t.Errorf("read %q and %q", c.text, c.label)
	}
	s.xdo("type", "--delay", "40", "during ")
	s.notepad("before during ")
	s.click(middle(c.button))
	s.gone("clicked")
	s.xdo("type", "--delay", "40", "after ")
	s.notepad("before during after ")

	s.say(link.Warned, 29*time.Second)
	img, _ := s.seen("loud", "seconds")
	if paper := img.At(100, 100).(color.RGBA); paper.R > 150 || paper.R < 50 {
		t.Errorf("a white page has the colour %v: not dimmed", paper)
	}
	s.xdo("type", "--delay", "40", "loud")
	s.notepad("before during after loud")
	s.say(link.Warned, 29*time.Second) // anew, where the machine is slow
	_, c = s.seen("loud-again", "seconds")
	s.click(middle(c.button))
	s.waitFor("the card without its button", func() bool {
		img := s.shot("loud-clicked")
		c := s.findCard(img, img.Bounds())
		return c.button.Empty() && strings.Contains(c.text, "This screen locks in")
	})
	s.say(link.Warned, 29*time.Second)
	s.seen("shown", "seconds")
	s.tell("hide")
	s.waitFor("the windows to be hidden", func() bool { _, n := s.heard.last("hidden"); return n == 1 })
	s.seen("hidden-and-back", "This screen locks in")
	s.say(link.Active, 15*time.Minute)
	s.gone("active")
	s.waitFor("a white page", func() bool { return s.shot("bright").At(100, 100) == color.RGBA{255, 255, 255, 255} })

	for _, key := range []string{"space", "Return", "Escape"} {
		s.say(link.Warned, 235*time.Second)
		s.seen("key-"+key, "This screen locks in 3:")
		s.waitFor("the focus", func() bool {
			s.tell("focus") // again, where the window before it went away only now
			s.tell("look")
			front, _ := s.heard.last("front")
			return strings.Contains(front, "This screen locks in 3:") // the name for a screen reader
		})
		s.shot("focus")
		s.waitFor("the warning to go by "+key, func() bool {
			// The X server's focus follows that of Windows in its own time, if at all.
			focus := exec.Command(rig.Tool(t, "xdotool"), "search", "--onlyvisible", "--name", "^This screen locks", "windowfocus", "key", "Tab", key)
			focus.Env = append(os.Environ(), "DISPLAY="+w.Display)
			_ = focus.Run() // fails once the warning is gone
			time.Sleep(500 * time.Millisecond)
			img := s.shot("by-" + key)
			return around(img, img.Bounds(), ink).Dy() < 60
		})
		s.say(link.Active, 15*time.Minute)
	}
}

// TestTrayOnTwoMonitors: the button is where the pointer is, a copy on the other monitor, and both are dark at the end.
func TestTrayOnTwoMonitors(t *testing.T) {
	t.Parallel() // it mostly waits
	s := start(t, desk(t, rig.TwoMonitors(t), 96))
	left, right := image.Rect(0, 0, 1024, 768), image.Rect(1024, 0, 2048, 768)
	for _, c := range []struct {
		name        string
		pointer     image.Point
		with, other image.Rectangle
		left        time.Duration
	}{
		{"right", image.Pt(1500, 300), right, left, 235 * time.Second},
		{"left", image.Pt(300, 300), left, right, 235 * time.Second},
		{"loud", image.Pt(300, 300), left, right, 29 * time.Second},
	} {
		s.move(c.pointer)
		s.say(link.Warned, c.left)
		s.waitFor("a card and its copy "+c.name, func() bool {
			img := s.shot("two-monitors-" + c.name)
			a, b := s.findCard(img, c.with), s.findCard(img, c.other)
			return strings.Contains(a.text, "locks in") && a.label == "Continue" &&
				strings.Contains(b.text, "locks in") && strings.Contains(b.text, "press a key") && b.button.Empty()
		})
		s.say(link.Active, time.Hour)
		s.gone("two-monitors")
	}
}

// TestTraySizes: at 150 and 300 % everything is larger, and nothing is cut off.
func TestTraySizes(t *testing.T) {
	t.Parallel() // it mostly waits
	for _, dpi := range []int{144, 288} {
		t.Run(strconv.Itoa(dpi), func(t *testing.T) {
			s := start(t, desk(t, "", dpi))
			for _, left := range []time.Duration{235 * time.Second, 29 * time.Second} {
				s.say(link.Warned, left)
				img, c := s.seen(fmt.Sprintf("%d-%v", dpi, left), "This screen locks in")
				for _, want := range []string{"Nobody has used it for a while", "your programs stay open", "move the mouse"} {
					if !strings.Contains(c.text, want) {
						t.Errorf("read %q, not %q", c.text, want)
					}
				}
				if c.label != "Continue" || !c.box.In(img.Bounds().Inset(1)) || c.button.Dy() < 36*dpi/96 {
					t.Errorf("card %v, button %v: read %q", c.box, c.button, c.label)
				}
				s.say(link.Active, time.Hour)
				s.gone("size")
			}
		})
	}
}

// TestTraySpanish: the warning speaks the language of the person's Windows.
func TestTraySpanish(t *testing.T) {
	t.Parallel()                                         // it mostly waits
	s := start(t, desk(t, "", 96), "LC_ALL=es_ES.UTF-8") // of which Wine makes the language of its Windows
	s.say(link.Warned, 235*time.Second)
	_, c := s.seen("spanish", "Esta pantalla se bloquea en 3:")
	if !strings.Contains(c.text, "Para continuar, pulse una tecla") || c.label != "Continuar" {
		t.Errorf("read %q and %q", c.text, c.label)
	}
	s.click(middle(c.button))
	s.gone("spanish")
}

// TestTrayWarnsBesideADeadDesktop: the program that shows icons and task bar hangs, as it does now and then; the warning is
// there, and can be clicked.
func TestTrayWarnsBesideADeadDesktop(t *testing.T) {
	t.Parallel() // it mostly waits
	s := start(t, desk(t, "", 96))
	s.say(link.Active, 15*time.Minute)
	s.waitFor("the icon", func() bool {
		return !near(s.shot("icon"), image.Rect(0, 0, 170, 60), picture.Open.Draw(64).RGBAAt(16, 50)).Empty()
	})
	explorer, err := s.w.pid("explorer.exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(explorer, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(explorer, syscall.SIGCONT)
	for range 3 {
		s.say(link.Warned, 235*time.Second) // the icon changes
		_, c := s.seen("dead-desktop", "This screen locks in 3:")
		s.click(middle(c.button))
		s.gone("dead-desktop")
		s.say(link.Active, 15*time.Minute)
	}
}

// pid finds a process of this Windows.
func (w *Windows) pid(program string) (int, error) {
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return 0, err
	}
	for _, path := range all {
		line, _ := os.ReadFile(path)
		env, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "environ"))
		if bytes.Contains(line, []byte(program)) && bytes.Contains(env, []byte("WINEPREFIX="+w.prefix+"\x00")) {
			return strconv.Atoi(filepath.Base(filepath.Dir(path)))
		}
	}
	return 0, fmt.Errorf("%s does not run", program)
}

// TestTrayMenu: the icon shows the state, and its menu the model of the tray; a click on Lock now asks for a lock.
func TestTrayMenu(t *testing.T) {
	t.Parallel() // it mostly waits
	s := start(t, New(t))
	panel := image.Rect(900, 748, 1024, 768) // the notification area of the desktop
	icon := func(i picture.Icon, name string) (at image.Point) {
		t.Helper()
		s.waitFor("the icon "+name, func() bool {
			box := near(s.shot("icon-"+name), panel, i.Draw(64).RGBAAt(16, 50))
			at = middle(box)
			return box.Dx() >= 4
		})
		return at
	}
	icon(picture.Crossed, "no-word")
	s.say(link.Active, 12*time.Minute)
	at := icon(picture.Open, "active")

	s.move(at)
	s.waitFor("the tooltip", func() bool {
		return strings.Contains(rig.Read(t, part(s.shot("tooltip"), image.Rect(700, 725, 1024, 748))), "Time left")
	})
	s.xdo("click", "3")
	corner := image.Rect(860, 600, 1024, 765)
	var lines []string
	s.waitFor("the menu", func() bool {
		lines = strings.Split(rig.Read(t, part(s.shot("menu"), corner)), "\n")
		return strings.Contains(strings.Join(lines, " "), "Lock now")
	})
	for _, want := range []string{"Why and when", "What is recorded", "About"} {
		if !strings.Contains(strings.Join(lines, " "), want) {
			t.Errorf("the menu reads %q, not %q", lines, want)
		}
	}
	s.move(image.Pt(920, 712))
	s.waitFor("what is below Why and when", func() bool {
		text := rig.Read(t, part(s.shot("menu-why"), image.Rect(570, 600, 864, 730)))
		return strings.Contains(text, "Limit: 15 minutes") && strings.Contains(text, "your role: R&D")
	})
	s.click(image.Pt(900, 686))
	s.waitFor("Lock now", func() bool { _, n := s.heard.last("lock now"); return n == 1 })

	s.say(link.Warned, 250*time.Second)
	s.move(image.Pt(500, 300))
	icon(picture.Warning, "warned")
	s.say(link.Expired, 0)
	icon(picture.Urgent, "expired")
	s.say(link.Secured, 0)
	icon(picture.Closed, "secured")
	s.tell("sign-out called off")
	s.waitFor("the tray to hear of the sign-out", func() bool { _, n := s.heard.last("called off"); return n == 1 })
	s.waitFor("no icon", func() bool {
		return near(s.shot("icon-none"), panel, picture.Closed.Draw(64).RGBAAt(16, 50)).Empty()
	})
	icon(picture.Closed, "secured-again")
	s.tell("hang up")
	icon(picture.Crossed, "lost")
	s.waitFor("a second hello", func() bool { _, n := s.heard.last("hello"); return n == 2 })

	all, own := resident(t, s.tray.Process.Pid, "VmRSS:"), resident(t, s.tray.Process.Pid, "RssAnon:")
	t.Logf("resident: %d KiB, %d KiB of it without Wine's libraries and the windows' pictures", all, own)
	if own > 40<<10 {
		t.Errorf("%d KiB resident, want at most 40 MiB", own)
	}
	second, err := s.w.Run(t.Context(), s.trayExe, "--link", trayPipe)
	if err != nil || second.Code == 0 || !strings.Contains(second.Stderr, "another stepaway-tray runs in this session") {
		t.Errorf("a second tray: exit %d, %v: %s", second.Code, err, second.Stderr)
	}
}

// resident is how much of a process is in memory, in KiB, by a line of its status.
func resident(t *testing.T, pid int, line string) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), line)
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// near is around, for pixels that are nearly of a colour.
func near(img image.Image, part image.Rectangle, c color.RGBA) (box image.Rectangle) {
	for y := part.Min.Y; y < part.Max.Y; y++ {
		for x := part.Min.X; x < part.Max.X; x++ {
			p := color.RGBAModel.Convert(img.At(x, y)).(color.RGBA)
			if off(p.R, c.R)+off(p.G, c.G)+off(p.B, c.B) < 40 {
				box = box.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	return box
}

func off(a, b uint8) int { return max(int(a)-int(b), int(b)-int(a)) }

// TestHighContrast: the card is in the colours of the person's theme.
func TestHighContrast(t *testing.T) {
	t.Parallel() // it mostly waits
	w := desk(t, "", 96)
	for name, rgb := range map[string]string{"Window": "0 0 0", "WindowText": "255 255 0", "ButtonFace": "0 0 0",
		"ButtonText": "0 255 255", "Hilight": "0 128 0", "HilightText": "255 255 255"} {
		w.Must(t, "reg", "add", `HKCU\Control Panel\Colors`, "/v", name, "/d", rgb, "/f")
	}
	w.Restart(t)
	exe := filepath.Join(t.TempDir(), "notify.test.exe")
	build := exec.Command("go", "test", "-c", "-o", exe, "stepaway/notify")
	build.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	cmd := w.Command(t.Context(), exe)
	cmd.Env = append(cmd.Env, "STEPAWAY_SHOW=high contrast")
	rig.Start(t, cmd)
	read := ""
	defer func() { t.Logf("read %q", read) }()
	rig.WaitFor(t, "the warning in the theme's colours", func() bool {
		img := rig.Shot(t, w.Display, "wine-high-contrast")
		box := around(img, img.Bounds(), color.RGBA{255, 255, 0, 255})
		if box.Empty() {
			return false
		}
		label := around(img, box, color.RGBA{0, 255, 255, 255})
		bar := around(img, img.Bounds(), color.RGBA{0, 128, 0, 255})
		text := box
		text.Min.X, text.Max.Y = box.Min.X+box.Dx()/6, label.Min.Y
		read = rig.Read(t, part(img, text.Inset(3)))
		return strings.Contains(read, "This screen locks in") && label.Dx() > 100 && bar.Dx() == box.Dx()
	})
}
