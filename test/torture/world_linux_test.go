// Package torture mistreats the real courier and the real collector together: old copies restored, forged acknowledgements,
// floods, disks that fail, and more events than fit into memory.
package torture

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/link"
)

// torture asks for the long run: `make torture`.
var torture = flag.Bool("torture", false, "a million events instead of thousands")

func times(short, long int) int {
	if *torture {
		return long
	}
	return short
}

// programs are built once, for every test.
var programs struct {
	sync.Once
	dir string
	err error
}

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && writers[os.Args[1]] != nil {
		os.Exit(writeForEver(os.Args[1], os.Args[2]))
	}
	code := m.Run()
	if programs.dir != "" {
		os.RemoveAll(programs.dir)
	}
	os.Exit(code)
}

func program(t *testing.T, name string) string {
	t.Helper()
	programs.Do(func() {
		if programs.dir, programs.err = os.MkdirTemp("", "stepaway-torture-"); programs.err != nil {
			return
		}
		for _, name := range []string{"courier", "collector"} {
			out, err := exec.Command("go", "build", "-o", filepath.Join(programs.dir, name), "stepaway/cmd/"+name).CombinedOutput()
			if err != nil {
				programs.err = fmt.Errorf("build %s: %v\n%s", name, err, out)
			}
		}
	})
	if programs.err != nil {
		t.Fatal(programs.err)
	}
	return filepath.Join(programs.dir, name)
}

// world is a workstation with a courier, and a collector. The agent's end of the link is this test.
type world struct {
	t                            *testing.T
	state, data, socket, address string
	outbox                       *link.Outbox
	run, serve                   *exec.Cmd
	log                          bytes.Buffer
	heard                        atomic.Pointer[link.Courier] // what the courier said last
}

// agent is the agent's end of the link.
type agent struct{ w *world }

func (agent) Tray(link.Peer, string) (string, string)                { return "", "role" }
func (agent) TrayUp(string, link.Peer, func(link.State))             {}
func (agent) TrayDown(string, link.Peer)                             {}
func (agent) LockNow(string)                                         {}
func (agent) Courier(link.Peer) bool                                 { return true }
func (a agent) CourierSaid(c *link.Courier)                          { a.w.heard.Store(c) }
func (agent) Status(context.Context, link.Peer) (link.Status, error) { return link.Status{}, nil }

// newWorld has a collector that serves and a courier that is enrolled and does not run yet. Its spool is at state/spool.
func newWorld(t *testing.T, state string) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, state: state, data: filepath.Join(dir, "data"), socket: filepath.Join(dir, "link.sock"),
		outbox: link.NewOutbox(fmt.Sprintf("%08x", time.Now().UnixNano()&0xffffffff))}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.address = l.Addr().String()
	l.Close()
	server, err := link.Listen(w.socket, 0o600, agent{w}, w.outbox)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() { defer close(served); server.Serve(ctx) }()
	t.Cleanup(func() { cancel(); <-served })
	w.must("collector", "init", "--data", w.data)
	w.startCollector()
	token := strings.TrimSpace(w.must("collector", "token", "ws-1", "--data", w.data))
	w.eventually("the device is enrolled", func() bool {
		_, _, code := w.call("courier", "enroll", "--state", w.state, "--collector", "https://"+w.address, "--token", token)
		return code == 0
	})
	t.Cleanup(func() { w.stopCourier(); w.stopCollector() })
	return w
}

// call runs a command to its end.
func (w *world) call(name string, args ...string) (stdout, stderr string, code int) {
	w.t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(program(w.t, name), args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); cmd.ProcessState == nil {
		w.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func (w *world) must(name string, args ...string) string {
	w.t.Helper()
	out, errs, code := w.call(name, args...)
	if code != 0 {
		w.t.Fatalf("%s %s: %s%s", name, strings.Join(args, " "), out, errs)
	}
	return out
}

func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(3 * time.Minute); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("not within three minutes: %s\n%s", what, w.log.String())
		}
	}
}

func (w *world) startCollector() {
	w.t.Helper()
	w.serve = exec.Command(program(w.t, "collector"), "serve", "--data", w.data, "--listen", w.address)
	if err := w.serve.Start(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) stopCollector() { w.stop(&w.serve) }

func (w *world) startCourier() {
	w.t.Helper()
	w.run = exec.Command(program(w.t, "courier"), "run", "--state", w.state, "--link", w.socket, "--policy", filepath.Join(w.state, "none.yaml"))
	w.log.Reset()
	w.run.Stderr = &w.log
	if err := w.run.Start(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) stopCourier() { w.stop(&w.run) }

func (w *world) stop(cmd **exec.Cmd) {
	if *cmd == nil {
		return
	}
	(*cmd).Process.Signal(syscall.SIGTERM)
	if err := (*cmd).Wait(); err != nil {
		w.t.Errorf("%s: %v\n%s", (*cmd).Path, err, w.log.String())
	}
	*cmd = nil
}

// now is what the courier says of itself.
type now struct {
	Epoch     string `json:"epoch"`
	Head      uint64 `json:"head"`
	Acked     uint64 `json:"acked"`
	Waiting   uint64 `json:"waiting"`
	Bytes     int64  `json:"bytes"`
	Dropped   int64  `json:"dropped"`
	Collector string `json:"collector"`
	Code      string `json:"code"`
}

// status asks for it until it is told: while much is written there is no moment to copy the spool.
func (w *world) status() (s now) {
	w.t.Helper()
	w.eventually("the courier's status", func() bool {
		out, _, code := w.call("courier", "status", "--json", "--state", w.state)
		return code == 0 && json.Unmarshal([]byte(out), &s) == nil
	})
	return s
}

// held is how many numbers of its epochs the collector has from the workstation.
func (w *world) held() (n uint64) {
	w.t.Helper()
	for line := range strings.Lines(w.must("collector", "devices", "--json", "--data", w.data)) {
		var d struct {
			Device, Name string
			Epochs       []struct{ Last uint64 }
		}
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			w.t.Fatalf("%s: %v", line, err)
		}
		if d.Device == "ws-1" || d.Name == "ws-1" {
			for _, e := range d.Epochs {
				n += e.Last
			}
		}
	}
	return n
}

// event makes one of the enforcer's events.
func event(typ audit.Type) audit.Event {
	severity, _ := audit.SeverityOf(typ)
	return audit.Event{V: audit.Version, Type: typ, Wall: time.Now(), Severity: severity, Outcome: audit.Success, Agent: "v1",
		Session: &audit.Session{ID: "2", Kind: "x11", User: "nurse", Role: "clinical"}}
}

// add gives the courier n events, and waits until it has them on disk.
func (w *world) add(n int, typ audit.Type) {
	w.t.Helper()
	for range n {
		w.outbox.Add(event(typ))
		if _, waiting, _ := w.outbox.Counts(); waiting > link.OutboxSize/2 {
			w.eventually("the courier stores", func() bool { _, waiting, _ := w.outbox.Counts(); return waiting < link.OutboxSize/4 })
		}
	}
	w.eventually("the courier stored every event", func() bool { _, waiting, _ := w.outbox.Counts(); return waiting == 0 })
}

// kept is an event as the collector prints it.
type kept struct {
	audit.Event
	Hash     string
	Received time.Time
}

// collected hands over every event at the collector.
func (w *world) collected(f func(kept)) {
	w.t.Helper()
	cmd := exec.Command(program(w.t, "collector"), "events", "--json", "--data", w.data)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var e kept
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			w.t.Fatalf("%s: %v", lines.Text(), err)
		}
		f(e)
	}
	if err := cmd.Wait(); err != nil {
		w.t.Fatal(err)
	}
}

// delivered waits until nothing waits on the workstation.
func (w *world) delivered() {
	w.t.Helper()
	w.eventually("every event is delivered", func() bool {
		_, waiting, _ := w.outbox.Counts()
		s := w.status()
		return waiting == 0 && s.Waiting == 0 && s.Head > 0
	})
}

// verified wants the collector to find nothing wrong.
func (w *world) verified() {
	w.t.Helper()
	if out, errs, code := w.call("collector", "verify", "--data", w.data); code != 0 {
		w.t.Errorf("collector verify: %s%s", out, errs)
	}
}
