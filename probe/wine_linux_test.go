package probe

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"stepaway/test/rig"
	"stepaway/test/wine"
)

// windowsTests builds the tests of this package for Windows: a program that is also every other program which they start.
func windowsTests(t *testing.T) string {
	t.Helper()
	exe := filepath.Join(t.TempDir(), "probe.test.exe")
	cmd := exec.Command(rig.Tool(t, "go"), "test", "-c", "-o", exe, ".")
	cmd.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the tests for Windows: %v\n%s", err, out)
	}
	return exe
}

// TestOnWindows runs the tests of this package that are for Windows, in one with a screen.
func TestOnWindows(t *testing.T) {
	w := wine.New(t)
	t.Setenv("STEPAWAY_WINE_TEST", "1")
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	cmd := w.Command(ctx, windowsTests(t), "-test.v", "-test.timeout", "7m")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestSuspended") {
		t.Errorf("%v\n%s", err, out)
	}
}

// onDesk is a Windows with a probe on its desktop.
type onDesk struct {
	t       *testing.T
	windows *wine.Windows
	program string

	mu   sync.Mutex
	last Report
	now  time.Duration
}

func newDesk(t *testing.T) *onDesk {
	t.Helper()
	d := &onDesk{t: t, windows: wine.New(t), program: windowsTests(t)}
	cmd := d.windows.Command(t.Context(), d.program, "desk", `winsta0\shell`)
	if _, err := cmd.StdinPipe(); err != nil { // which stays open
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	rig.Start(t, cmd)
	go d.listen(out)
	return d
}

// listen takes what the desk says.
func (d *onDesk) listen(out io.Reader) {
	for in := json.NewDecoder(out); ; {
		var said struct {
			Now    time.Duration
			Report Report
		}
		if in.Decode(&said) != nil {
			return // the desk ended
		}
		d.mu.Lock()
		d.last, d.now = said.Report, said.Now
		d.mu.Unlock()
	}
}

// report is the last, and when it was made.
func (d *onDesk) report() (Report, time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last, d.now
}

// TestRealInput: what is done to the screen's own mouse and keyboard is seen, when it was done; a bump is not.
func TestRealInput(t *testing.T) {
	d := newDesk(t)
	rig.WaitFor(t, "a probe", func() bool { r, _ := d.report(); return r.Readable })
	rig.Start(t, d.windows.Command(t.Context(), d.program, "window")) // Wine gives keys only where some window is in front
	rig.WaitFor(t, "a click that puts it there", func() bool {
		rig.Xdo(t, d.windows.Display, "mousemove", "100", "60", "click", "1")
		r, _ := d.report()
		return r.At != 0
	})
	for what, args := range map[string][]string{
		"a move":  {"mousemove", "--sync", "500", "400", "mousemove", "--sync", "300", "200"},
		"a click": {"mousemove", "--sync", "100", "60", "click", "1"},
		"a key":   {"key", "a"},
		"a wheel": {"click", "4"},
	} {
		time.Sleep(2 * time.Second) // input that follows other is told with it
		before, _ := d.report()
		rig.Xdo(t, d.windows.Display, args...)
		rig.WaitFor(t, what, func() bool { r, _ := d.report(); return r.At > before.At })
		if r, now := d.report(); now-r.At > time.Second || r.At > now { // of one clock: Wine's is not that of Linux
			t.Errorf("%s: told at %v, seen at %v", what, now, r.At)
		}
	}
	time.Sleep(2 * time.Second)
	quiet, _ := d.report()
	for range 5 {
		rig.Xdo(t, d.windows.Display, "mousemove_relative", "--", "3", "0")
		rig.Xdo(t, d.windows.Display, "mousemove_relative", "--", "-3", "0")
	}
	time.Sleep(2 * time.Second)
	if r, _ := d.report(); r.At != quiet.At || !r.Readable {
		t.Errorf("a bump was believed: %+v", r)
	}
}
