package wine

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"stepaway/test/rig"
)

// TestClients: at the deadline the agent has its probe ask the windows of two programs to close. One does. The other has what
// was typed and asks whether to save it; nobody answers, and it is ended when its grace is over. A third, which policy does
// not name, is left alone.
func TestClients(t *testing.T) {
	w := workstation(t)
	rig.Start(t, w.Command(t.Context(), "regedit"))
	w.Must(t, "taskkill", "/f", "/im", "notepad.exe")
	const policy = `
limit: 25s
warning: 5s
action: close-clients
clients:
  - {name: Game, paths: ['C:\windows\system32\win?mine.exe'], at_deadline: close, grace: 5m}
  - {name: Notes, paths: ['C:\WINDOWS\System32\notepad.exe'], at_deadline: close, grace: 4s}
`
	if err := os.WriteFile(w.C("policy.yaml"), []byte(policy), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"winemine", "notepad"} { // the last one has the focus
		rig.Start(t, w.Command(t.Context(), program))
		rig.WaitFor(t, program, func() bool { return w.lists(t, program) })
		time.Sleep(2 * time.Second) // for its window; what is typed too early is lost, and the test fails
	}
	typing := exec.Command(rig.Tool(t, "xdotool"), "type", "not saved")
	typing.Env = append(os.Environ(), "DISPLAY="+w.Display)
	if out, err := typing.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// The desktop of Wine's that has a tray has another name than that of Windows.
	cmd := w.Command(t.Context(), agent, "run", "--session", "--desktop", `winsta0\shell`, "--policy", `C:\policy.yaml`, "--state", `C:\state`)
	var log lines
	cmd.Stderr = &log
	rig.Start(t, cmd)
	defer func() {
		if t.Failed() {
			t.Log(strings.Join(log.list(), "\n"))
		}
	}()
	rig.WaitFor(t, "the end of both", func() bool { return !w.lists(t, "winemine") && !w.lists(t, "notepad") })
	if !w.lists(t, "regedit") {
		t.Error("a program that is no client is gone")
	}
}

// lists reports whether a program is in the list of those that run.
func (w *Windows) lists(t *testing.T, program string) bool {
	t.Helper()
	return strings.Contains(w.Must(t, "tasklist"), program+".exe")
}
