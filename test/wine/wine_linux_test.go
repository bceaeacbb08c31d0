package wine

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"stepaway/test/rig"
)

// TestEachIsAlone: what one Windows holds, another does not, also while both run; and nothing of it is left in the template.
func TestEachIsAlone(t *testing.T) {
	a, b := New(t), New(t)
	a.Must(t, "reg", "add", `HKLM\Software\Alone`, "/v", "x", "/d", "1", "/f")
	if out := a.Must(t, "reg", "query", `HKLM\Software\Alone`, "/v", "x"); !strings.Contains(out, "REG_SZ") {
		t.Errorf("what was written is not there: %s", out)
	}
	for _, w := range []*Windows{b, New(t)} {
		if r, err := w.Run(t.Context(), "reg", "query", `HKLM\Software\Alone`); err != nil || r.Code != 1 {
			t.Errorf("exit %d, %v: %s", r.Code, err, r.Stdout)
		}
	}
	if err := os.WriteFile(a.C("windows/mine.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(b.C("windows/mine.txt")); err == nil {
		t.Error("a new file is in both")
	}
}

// TestScreen: a program's window is on the test's own screen.
func TestScreen(t *testing.T) {
	w := New(t)
	cmd := w.Command(t.Context(), "notepad")
	rig.Start(t, cmd)
	rig.WaitFor(t, "a window", func() bool {
		r, _ := w.Run(t.Context(), "tasklist")
		return strings.Contains(r.Stdout, "explorer.exe") && strings.Contains(r.Stdout, "notepad.exe")
	})
	rig.WaitFor(t, "the desktop on the screen", func() bool {
		find := exec.Command(rig.Tool(t, "xdotool"), "search", "--onlyvisible", "--name", "Wine Desktop|shell")
		find.Env = append(os.Environ(), "DISPLAY="+w.Display)
		out, err := find.Output()
		return err == nil && len(out) > 0
	})
}
