package main

import (
	"bufio"
	"context"
	"encoding/json"
	"encoding/pem"
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
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/collector"
)

// standIn takes OTLP logs and remembers the ids of records.
type standIn struct {
	*httptest.Server
	mu    sync.Mutex
	ids   map[string]int
	still bool
}

var uid = regexp.MustCompile(`"log\.record\.uid","value":\{"stringValue":"([0-9a-f-]{36})"`)

func newStandIn(t *testing.T, ca string) *standIn {
	t.Helper()
	o := &standIn{ids: map[string]int{}}
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
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: o.Certificate().Raw}), 0o600))
	return o
}

func (o *standIn) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.ids)
}

func (o *standIn) stand(still bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.still = still
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// keep puts n more events of each of 5 devices into the store, as if they had come.
func keep(t *testing.T, data string, heads map[string]collector.Held, n int) {
	t.Helper()
	s, err := collector.Open(context.Background(), data, "")
	must(t, err)
	defer s.Close()
	for i := range 5 {
		a := collector.Arrival{Device: audit.Label(fmt.Sprintf("ws-%d", i)), Epoch: "00000000000000aa", Received: time.Now().UTC()}
		head, ok := heads[string(a.Device)]
		if !ok {
			head.Hash = audit.Zero
		}
		for range n {
			e := audit.Event{V: audit.Version, Type: audit.LockProved, Device: a.Device, Epoch: a.Epoch, Seq: head.Last + 1, Prev: head.Hash,
				Wall: time.Now().UTC(), Severity: audit.Info, Outcome: audit.Success, Agent: "v1"}
			body, hash, err := audit.Encode(e)
			must(t, err)
			a.Events = append(a.Events, collector.Event{Record: audit.Record{Seq: e.Seq, Hash: hash, Body: body}, Prev: e.Prev, Type: e.Type, Wall: e.Wall})
			head = collector.Held{Last: e.Seq, Hash: hash}
		}
		_, err := s.Take(context.Background(), a)
		must(t, err)
		heads[string(a.Device)] = head
	}
}

// TestTheCollectorHandsEventsOn with the real program: to two sinks, one of which stands still; killed and started again.
func TestTheCollectorHandsEventsOn(t *testing.T) {
	dir := t.TempDir()
	program, data := filepath.Join(dir, "collector"), filepath.Join(dir, "data")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := exec.Command(program, "init", "--data", data).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	fast, slow := newStandIn(t, dir+"/fast.pem"), newStandIn(t, dir+"/slow.pem")
	slow.stand(true)
	file := filepath.Join(dir, "sinks.yaml")
	must(t, os.WriteFile(file, fmt.Appendf(nil, "sinks:\n- {name: fast, kind: otlp, url: '%s', ca: %s/fast.pem}\n- {name: slow, kind: otlp, url: '%s', ca: %s/slow.pem}\n",
		fast.URL, dir, slow.URL, dir), 0o600))
	heads := map[string]collector.Held{}
	keep(t, data, heads, 30)
	serving := start(t, program, data, file)
	eventually(t, "the fast one has everything", func() bool { return fast.count() == 150 })
	eventually(t, "status says so", func() bool {
		n := statusOf(t, program, data)
		return len(n) == 2 && n["fast"].Waiting == 0 && n["slow"].Waiting == 150 && n["slow"].Here != nil && n["slow"].Here.State == "down" &&
			n["fast"].Here.Sent == 150
	})
	serving()
	keep(t, data, heads, 10)
	slow.stand(false)
	start(t, program, data, file)
	eventually(t, "both have everything", func() bool { return fast.count() == 200 && slow.count() == 200 })
	eventually(t, "nothing waits", func() bool {
		n := statusOf(t, program, data)
		return n["fast"].Waiting == 0 && n["slow"].Waiting == 0 && n["slow"].Missed == 0
	})
	fast.mu.Lock()
	defer fast.mu.Unlock()
	for id, n := range fast.ids {
		if n > 2 { // once more at most, for the kill
			t.Errorf("%s came %d times", id, n)
		}
	}
}

// start serves; the function that it answers kills.
func start(t *testing.T, program, data, sinks string) func() {
	t.Helper()
	cmd := exec.Command(program, "serve", "--data", data, "--listen", "127.0.0.1:0", "--sinks", sinks)
	out, err := cmd.StderrPipe()
	must(t, err)
	must(t, cmd.Start())
	up, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if strings.Contains(lines.Text(), "listening") {
				close(up)
			}
		}
	}()
	kill := func() { _ = cmd.Process.Kill(); <-done; _ = cmd.Wait() }
	t.Cleanup(kill)
	select {
	case <-up:
	case <-done:
		t.Fatal("serve ended")
	}
	return kill
}

func statusOf(t *testing.T, program, data string) map[string]sinkNow {
	t.Helper()
	out, err := exec.Command(program, "sinks", "status", "--json", "--data", data).Output()
	must(t, err)
	all := map[string]sinkNow{}
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		var n sinkNow
		must(t, json.Unmarshal([]byte(line), &n))
		all[n.Sink] = n
	}
	return all
}
