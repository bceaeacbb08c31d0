//go:build linux

package desktop

import (
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDesktopShowsItsPanelAndEndsWholly(t *testing.T) {
	dir, err := os.MkdirTemp("", "desk") // t.TempDir is too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	d, err := New(dir, Options{Width: 800, Height: 600, Bus: true, Panel: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Move(100, 100); err != nil {
		t.Error(err)
	}
	d.Setenv("HOME", "/elsewhere")
	if env := strings.Join(d.Command("true").Env, "\n"); strings.Count(env, "HOME=") != 1 {
		t.Errorf("HOME is there more than once:\n%s", env)
	}
	path := filepath.Join(t.TempDir(), "screen.png")
	if err := d.Picture(path); err != nil {
		t.Fatal(err)
	}
	if w, h := size(t, path); w != 800 || h != 600 {
		t.Errorf("the picture is %dx%d, want 800x600", w, h)
	}
	running := d.running
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	for _, p := range running {
		select {
		case <-p.Done():
		default:
			t.Errorf("%s still runs", p.Name)
		}
	}
	if _, err := os.Stat("/tmp/.X11-unix/X" + d.Display[1:]); err == nil {
		t.Errorf("the socket of %s is still there", d.Display)
	}
}

func size(t *testing.T, path string) (width, height int) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c, err := png.DecodeConfig(f)
	if err != nil {
		t.Fatal(err)
	}
	return c.Width, c.Height
}

func TestWhatIsMissingNamesTheRemedy(t *testing.T) {
	d := &Desktop{dir: t.TempDir()}
	if err := d.Run("no-such-program"); err == nil || !strings.Contains(err.Error(), "make deps") {
		t.Errorf("got %v", err)
	}
	t.Setenv("DISPLAY", "")
	if Own(t.TempDir()) != nil {
		t.Error("a desktop where DISPLAY is empty")
	}
}
