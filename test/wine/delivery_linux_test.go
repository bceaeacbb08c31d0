package wine

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stepaway/packaging"
	"stepaway/test/rig"
)

// hub is a collector on Linux.
type hub struct {
	t                      *testing.T
	program, data, address string
	serving                *exec.Cmd
}

func collector(t *testing.T) *hub {
	t.Helper()
	dir := t.TempDir()
	h := &hub{t: t, program: filepath.Join(dir, "collector"), data: filepath.Join(dir, "data")}
	if out, err := exec.Command("go", "build", "-o", h.program, "stepaway/cmd/collector").CombinedOutput(); err != nil {
		t.Fatalf("build the collector: %v\n%s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.address = l.Addr().String()
	l.Close()
	h.must("init")
	h.serve()
	t.Cleanup(func() { h.end() })
	return h
}

func (h *hub) run(verb string, args ...string) (stdout string, err error) {
	cmd := exec.Command(h.program, append([]string{verb, "--data", h.data}, args...)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		h.t.Logf("collector %s: %v %s", verb, err, errs.String())
	}
	return strings.TrimSpace(string(out)), err
}

func (h *hub) must(verb string, args ...string) string {
	h.t.Helper()
	out, err := h.run(verb, args...)
	if err != nil {
		h.t.Fatal(verb, err)
	}
	return out
}

func (h *hub) serve() {
	h.t.Helper()
	h.serving = exec.Command(h.program, "serve", "--data", h.data, "--listen", h.address)
	if err := h.serving.Start(); err != nil {
		h.t.Fatal(err)
	}
	rig.WaitFor(h.t, "the collector", func() bool {
		c, err := net.Dial("tcp", h.address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func (h *hub) end() {
	_ = h.serving.Process.Kill() // whatever it acknowledged is kept
	_ = h.serving.Wait()
}

// has counts the events of a type that the collector has of a device.
func (h *hub) has(device, typ string) (n int) {
	out, err := h.run("events", "--json")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(out) {
		var ev struct{ Device, Type string }
		if err := json.Unmarshal([]byte(line), &ev); err != nil {
			h.t.Fatalf("%v in %q", err, line)
		}
		if ev.Device == device && ev.Type == typ {
			n++
		}
	}
	return n
}

// gets waits until the collector has so many events of a type, and says how long that took.
func (h *hub) gets(typ string, n int) time.Duration {
	h.t.Helper()
	began := time.Now()
	rig.WaitFor(h.t, typ+" at the collector", func() bool { return h.has("ws-1", typ) >= n })
	return time.Since(began)
}

// reaches waits until the courier says how it stands with the collector, and that nothing waits where it is up.
func (w *Windows) reaches(t *testing.T, collector string) {
	t.Helper()
	var last string
	defer func() {
		if t.Failed() {
			t.Log(last)
		}
	}()
	rig.WaitFor(t, "a collector that is "+collector, func() bool {
		r, err := w.Run(t.Context(), courier, "status", "--json")
		last = r.Stdout + r.Stderr
		var st struct {
			Running           bool
			Device, Collector string
			Waiting           uint64
		}
		return err == nil && json.Unmarshal([]byte(r.Stdout), &st) == nil && st.Running && st.Device == "ws-1" &&
			st.Collector == collector && (collector != "up" || st.Waiting == 0)
	})
}

// TestDelivery: the services of Windows, and a collector on Linux over mutual TLS: what happens at the one is soon at the other,
// once, whoever of them is stopped or killed meanwhile.
func TestDelivery(t *testing.T) {
	h, w := collector(t), workstation(t)
	w.Must(t, agent, "install")
	w.becomes(t, packaging.AgentService, "RUNNING")
	w.count(t, "agent.start", 1) // kept before there is a collector
	w.Must(t, courier, "enroll", "--collector", "https://"+h.address, "--token", h.must("token", "ws-1"))
	w.reaches(t, "up") // it saw the enrolment while it ran
	h.gets("agent.start", 1)

	key := `HKLM\Software\Policies\Stepaway`
	before := h.has("ws-1", "policy.loaded")
	w.Must(t, "reg", "add", key, "/v", "limit", "/t", "REG_DWORD", "/d", "600", "/f")
	t.Log("a change of policy after", h.gets("policy.loaded", before+1).Round(time.Millisecond))
	w.Must(t, "net", "stop", packaging.AgentService)
	t.Log("agent.stop after", h.gets("agent.stop", 1).Round(time.Millisecond))
	w.Must(t, "net", "start", packaging.AgentService)
	h.gets("agent.start", 2)

	// The policy names the way to the collector: the agent tells the courier.
	w.Must(t, "reg", "add", key+`\collector`, "/v", "url", "/d", "https://127.0.0.1:1", "/f")
	w.reaches(t, "down")
	w.Must(t, "net", "stop", packaging.AgentService)
	w.Must(t, "reg", "delete", key+`\collector`, "/f")
	w.Must(t, "net", "start", packaging.AgentService)
	w.reaches(t, "up")
	h.gets("agent.stop", 2)

	// The collector is away, and the courier is killed with records that wait.
	h.end()
	w.Must(t, "net", "stop", packaging.AgentService)
	w.count(t, "agent.stop", 1)
	w.Must(t, "taskkill", "/f", "/im", "stepaway-courier.exe")
	w.becomes(t, packaging.CourierService, "STOPPED") // Wine starts nothing again
	h.serve()
	w.Must(t, "net", "start", packaging.CourierService)
	t.Log("what a killed courier had, after", h.gets("agent.stop", 3).Round(time.Millisecond))
	w.reaches(t, "up")
	if out, err := h.run("verify"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for typ, want := range map[string]int{"agent.start": 3, "agent.stop": 3, "spool.gap": 0, "spool.rollback": 0} {
		if got := h.has("ws-1", typ); got != want {
			t.Errorf("%d events %s at the collector, want %d", got, typ, want)
		}
	}
	if log, err := os.ReadFile(w.C("ProgramData/Stepaway/courier/identity/device.pem")); err != nil || !bytes.Contains(log, []byte("PRIVATE KEY")) {
		t.Errorf("the identity is not where it belongs: %v", err)
	}
}
