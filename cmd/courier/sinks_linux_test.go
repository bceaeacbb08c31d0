package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/link"
)

// otlpStandIn takes OTLP logs as a receiver does, remembers the ids, and can be told to stand still.
type otlpStandIn struct {
	*httptest.Server
	mu    sync.Mutex
	ids   map[string]int
	still bool
}

var uid = regexp.MustCompile(`"log\.record\.uid","value":\{"stringValue":"([0-9a-f-]{36})"`)

func newStandIn(t *testing.T, ca string) *otlpStandIn {
	t.Helper()
	o := &otlpStandIn{ids: map[string]int{}}
	o.Server = httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.still {
			rw.WriteHeader(503)
			return
		}
		for _, m := range uid.FindAllSubmatch(body, -1) {
			o.ids[string(m[1])]++
		}
		rw.Header().Set("Content-Type", "application/json")
		io.WriteString(rw, "{}")
	}))
	t.Cleanup(o.Close)
	pemBytes := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: o.Certificate().Raw})
	if err := os.WriteFile(ca, pemBytes, 0o600); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *otlpStandIn) count() (n, most int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range o.ids {
		n, most = n+1, max(most, c)
	}
	return n, most
}

func (o *otlpStandIn) stand(still bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.still = still
}

// outbox is the agent's end of the link, from which the courier takes events.
func newOutbox(t *testing.T, socket string) *link.Outbox {
	t.Helper()
	o := link.NewOutbox("0000abcd")
	server, err := link.Listen(socket, 0o600, agent{o}, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() { defer close(served); server.Serve(ctx) }()
	t.Cleanup(func() { cancel(); <-served })
	return o
}

func add(o *link.Outbox, n int) {
	for range n {
		o.Add(audit.Event{V: audit.Version, Type: audit.LockProved, Wall: time.Now(), Severity: audit.Info, Outcome: audit.Success, Agent: "v1",
			Session: &audit.Session{ID: "2", Kind: "x11", User: "nurse"}, Facts: &audit.Facts{IdleMS: audit.MS(time.Second)}})
	}
}

// TestTheCourierHandsEventsOn to two audit systems and no collector, with the real program: one stands still and holds nothing
// back but what it has not got; killed and started again, each goes on where it was; what the file says anew is followed.
func TestTheCourierHandsEventsOn(t *testing.T) {
	courier := program(t, "courier")
	dir := t.TempDir()
	state, socket := filepath.Join(dir, "state"), filepath.Join(dir, "link.sock")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	fast, slow := newStandIn(t, dir+"/fast.pem"), newStandIn(t, dir+"/slow.pem")
	slow.stand(true)
	file := filepath.Join(state, "sinks.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	both := fmt.Sprintf("sinks:\n- {name: fast, kind: otlp, url: '%s', ca: %s/fast.pem}\n- {name: slow, kind: otlp, url: '%s', ca: %s/slow.pem}\n",
		fast.URL, dir, slow.URL, dir)
	write(both)
	if out, errs, code := call(t, courier, "sinks", "check", file); code != 0 || strings.Count(out, "\n") != 2 {
		t.Errorf("check: %d, %s%s", code, out, errs)
	}
	o := newOutbox(t, socket)
	log := &logText{}
	start := func() *exec.Cmd {
		run := exec.Command(courier, "run", "--state", state, "--link", socket, "--policy", filepath.Join(dir, "none.yaml"))
		run.Stderr = log
		if err := run.Start(); err != nil {
			t.Fatal(err)
		}
		return run
	}
	run := start()
	defer func() { _ = run.Process.Kill(); _ = run.Wait() }()
	add(o, 40)
	eventually(t, "the fast one has 40", func() bool { n, _ := fast.count(); return n == 40 })
	eventually(t, "status says so", func() bool {
		n := statusOf(t, courier, state)
		return len(n.Sinks) == 2 && n.Sinks[0].Waiting == 0 && n.Sinks[1].Waiting == 40 && n.Sinks[0].Here != nil && n.Sinks[0].Here.Sent == 40 &&
			n.Sinks[1].Here != nil && n.Sinks[1].Here.State == "down" && n.Sinks[1].Here.Code == "busy"
	})
	checkExports(t, courier, state, 40)

	_ = run.Process.Kill()
	_ = run.Wait()
	run = start()
	add(o, 10)
	eventually(t, "the fast one has 50", func() bool { n, _ := fast.count(); return n == 50 })
	slow.stand(false)
	eventually(t, "the slow one has 50", func() bool { n, _ := slow.count(); return n == 50 })
	eventually(t, "nothing waits", func() bool { n := statusOf(t, courier, state); return n.Sinks[1].Waiting == 0 && n.Waiting == 0 })
	if _, most := fast.count(); most > 2 { // once more at most, for the kill
		t.Errorf("the fast one has an event %d times", most)
	}

	write("sinks: [\n") // a slip of the hand: nothing is lost for the sinks that were
	eventually(t, "the slip is noticed", func() bool { return strings.Contains(log.String(), "not handed on to any sink") })
	add(o, 5)
	eventually(t, "5 wait", func() bool {
		n := statusOf(t, courier, state)
		return len(n.Sinks) == 2 && n.Sinks[0].Waiting == 5 && n.Waiting == 5
	})
	write(strings.Split(both, "- {name: slow")[0])
	eventually(t, "the fast one has 55", func() bool { n, _ := fast.count(); return n == 55 })
	eventually(t, "the slow one is no more", func() bool { n := statusOf(t, courier, state); return len(n.Sinks) == 1 && n.Waiting == 0 })
	if n, _ := slow.count(); n != 50 {
		t.Errorf("the slow one has %d", n)
	}
	if err := run.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := run.Wait(); err != nil {
		t.Errorf("%v\n%s", err, log.String())
	}
}

// logText is a log that is read while it is written.
type logText struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func statusOf(t *testing.T, courier, state string) (n statusNow) {
	t.Helper()
	out, errs, code := call(t, courier, "status", "--json", "--state", state)
	if err := json.Unmarshal([]byte(out), &n); code != 0 || err != nil {
		t.Fatalf("status: %d, %v, %s", code, err, errs)
	}
	return n
}

// checkExports reads what waits as DICOM and as FHIR.
func checkExports(t *testing.T, courier, state string, want int) {
	t.Helper()
	for format, read := range map[string]func(string) error{
		"dicom": func(line string) error {
			var m struct {
				XMLName xml.Name `xml:"AuditMessage"`
			}
			return xml.Unmarshal([]byte(line), &m)
		},
		"fhir": func(line string) error {
			var e struct{ ResourceType string }
			if err := json.Unmarshal([]byte(line), &e); err != nil || e.ResourceType != "AuditEvent" {
				return fmt.Errorf("%s, %v", e.ResourceType, err)
			}
			return nil
		},
	} {
		out, errs, code := call(t, courier, "audit", "export", "--format", format, "--state", state)
		lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		if code != 0 || len(lines) != want {
			t.Errorf("export %s: %d, %d lines, %s", format, code, len(lines), errs)
		}
		for _, line := range lines {
			if err := read(line); err != nil {
				t.Errorf("%s: %v: %.200s", format, err, line)
			}
		}
	}
}
