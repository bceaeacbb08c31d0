package wine

import (
	"encoding/json"
	"image"
	"os"
	"strings"
	"testing"
	"time"

	"stepaway/link"
	"stepaway/test/rig"
)

// shiftPolicy closes the client of the shift, and nothing else, after half a minute.
const shiftPolicy = `limit: 30s
warning: 15s
action: close-clients
clients:
  - {name: Example EHR, paths: ['C:\windows\system32\winemine.exe'], at_deadline: close, grace: 2s}
`

// TestShift is a shift at a workstation of Windows: agent, probe, courier, tray and client are real, and so are pointer and
// click. Work puts the deadline off, the warning is clicked away, and who is gone leaves no client open. The collector has it.
func TestShift(t *testing.T) {
	t.Parallel()
	h, w := collector(t), workstation(t)
	if err := os.WriteFile(w.C("policy.yaml"), []byte(shiftPolicy), 0o644); err != nil {
		t.Fatal(err)
	}
	w.Must(t, courier, "enroll", "--state", `C:\state`, "--collector", "https://"+h.address, "--token", h.must("token", "ws-1"))
	rig.Start(t, w.Command(t.Context(), `C:\windows\system32\winemine.exe`))
	rig.WaitFor(t, "the client", func() bool { return w.lists(t, "winemine") })
	cmd := w.Command(t.Context(), agent, "run", "--session", "--desktop", `winsta0\shell`, "--policy", `C:\policy.yaml`, "--state", `C:\state`)
	var log lines
	cmd.Stderr = &log
	rig.Start(t, cmd)
	defer func() {
		if t.Failed() {
			t.Log(strings.Join(log.list(), "\n"))
			t.Log(h.must("events", "--json"))
		}
	}()
	s := &trayStage{t: t, w: w}
	s.until("a tray", func(st link.SessionStatus) bool { return st.Tray && st.Readable })

	s.click(image.Pt(600, 400)) // Notepad comes in front
	for i, end := 0, time.Now().Add(40*time.Second); time.Now().Before(end); i++ {
		s.move(image.Pt(300+100*(i%3), 400))
		time.Sleep(time.Second)
	}
	if !w.lists(t, "winemine") || h.has("ws-1", "client.close") != 0 {
		t.Fatal("the client was closed in the middle of work")
	}
	s.click(s.button("shift-warning"))
	s.until("the deadline to be put off", func(st link.SessionStatus) bool { return st.State.Phase == link.Active })
	s.gone("shift-continued")

	h.gets("client.close", 1)
	rig.WaitFor(t, "the end of the client", func() bool { return !w.lists(t, "winemine") })
	h.gets("client.closed", 2)
	if !w.lists(t, "notepad") {
		t.Error("another program was closed too")
	}
	for typ, want := range map[string]int{"client.close": 1, "client.closed": 2 /* it, and that none is left */, "client.ended": 0, "lock.failed": 0, "input.unreadable": 0} {
		if got := h.has("ws-1", typ); got != want {
			t.Errorf("%d events %s at the collector, want %d", got, typ, want)
		}
	}
}

// until waits for a state of the one session, of an agent that guards no other.
func (s *trayStage) until(what string, cond func(link.SessionStatus) bool) {
	s.t.Helper()
	var last string
	defer func() { s.t.Log(last) }()
	s.waitFor(what, func() bool {
		r, err := s.w.Run(s.t.Context(), agent, "status", "--json", "--session", "--state", `C:\state`)
		last = r.Stdout + r.Stderr
		var st link.Status
		return err == nil && json.Unmarshal([]byte(r.Stdout), &st) == nil && len(st.Sessions) == 1 && cond(st.Sessions[0])
	})
}

// button waits for a warning with something to click on, and says where. It reads no text: there is little time for that.
func (s *trayStage) button(name string) image.Point {
	s.t.Helper()
	var button image.Rectangle
	s.waitFor("the warning "+name, func() bool {
		img := s.shot(name)
		card := around(img, img.Bounds(), ink)
		card.Min = card.Min.Add(card.Size().Div(2)) // the icon is in the other half
		button = around(img, card, amber)
		return card.Dy() > 60 && button.Dy() > 20
	})
	return middle(button)
}
