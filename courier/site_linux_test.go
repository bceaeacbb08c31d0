package courier_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/courier"
	"stepaway/link"
	"stepaway/uplink"
)

// site is a real collector: its program, its data and the process that serves.
type site struct {
	t       testing.TB
	program string
	data    string
	address string
	cmd     *exec.Cmd
	log     *logged
}

// logged is what a process has written so far.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newSite(t testing.TB) *site {
	t.Helper()
	dir := t.TempDir()
	s := &site{t: t, program: filepath.Join(dir, "stepaway-collector"), data: filepath.Join(dir, "data"), log: new(logged)}
	if out, err := exec.Command("go", "build", "-o", s.program, "stepaway/cmd/collector").CombinedOutput(); err != nil {
		t.Fatalf("build the collector: %v\n%s", err, out)
	}
	s.tool("init", "--data", s.data)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = l.Addr().String()
	l.Close()
	s.serve()
	t.Cleanup(func() { s.end(os.Interrupt) })
	return s
}

// tool runs the collector's program and gives its standard output.
func (s *site) tool(args ...string) string {
	s.t.Helper()
	out, err := exec.Command(s.program, args...).Output()
	if err != nil {
		s.t.Fatalf("stepaway-collector %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (s *site) serve() {
	s.t.Helper()
	s.cmd = exec.Command(s.program, "serve", "--data", s.data, "--listen", s.address)
	s.cmd.Stderr = s.log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "the collector listens", func() bool {
		c, err := net.Dial("tcp", s.address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func (s *site) end(sig os.Signal) {
	if s.cmd == nil {
		return
	}
	s.cmd.Process.Signal(sig)
	err := s.cmd.Wait()
	s.cmd = nil
	if sig != syscall.SIGKILL && err != nil {
		s.t.Errorf("the collector ended with %v", err)
	}
}

// enroll makes a device and gives its client.
func (s *site) enroll(device audit.Label) *courier.Client {
	s.t.Helper()
	tok, err := uplink.ParseToken(s.tool("token", string(device), "--data", s.data))
	if err != nil {
		s.t.Fatal(err)
	}
	dir := filepath.Join(s.t.(interface{ TempDir() string }).TempDir(), "identity")
	if _, err := courier.Enroll(context.Background(), courier.EnrollOptions{Dir: dir, URL: "https://" + s.address}, tok); err != nil {
		s.t.Fatal(err)
	}
	id, err := courier.LoadIdentity(dir)
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := courier.NewClient(id, courier.ClientOptions{Timeout: 10 * time.Second})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	return c
}

// TestCollectorKilledUnderLoad kills the collector's process five times while three devices send: at the end
// it has every event once, each chain is whole, and no spool freed an event that it lacks.
func TestCollectorKilledUnderLoad(t *testing.T) {
	s := newSite(t)
	const devices, each = 3, 3000
	var outboxes []*link.Outbox
	for i := range devices {
		device := audit.Label(fmt.Sprintf("ws-%d", i))
		q := queue{openSpool(t, t.TempDir(), device)}
		e := startEnforcer(t, filepath.Join(t.TempDir(), "link.sock"), link.NewOutbox(fmt.Sprintf("%08x", i+1)))
		start(t, q, courier.Options{Device: device, Dial: e.dial, Peer: s.enroll(device), DownAfter: time.Hour})
		outboxes = append(outboxes, e.outbox)
	}
	for round := range 5 {
		for _, o := range outboxes {
			for range each / 5 {
				o.Add(newEvent(audit.LockProved))
			}
		}
		time.Sleep(time.Duration(20+40*round) * time.Millisecond)
		s.end(syscall.SIGKILL)
		time.Sleep(50 * time.Millisecond)
		s.serve()
	}
	eventually(t, "every event at the collector", func() bool {
		return strings.Count(s.tool("events", "--json", "--data", s.data), `"type":"lock.proved"`) >= devices*each
	})
	seen := map[string]int{}
	for lines := bufio.NewScanner(strings.NewReader(s.tool("events", "--json", "--data", s.data))); lines.Scan(); {
		var e struct {
			audit.Event
			Hash     string
			Received time.Time
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil || e.Hash == "" || e.Received.IsZero() {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		if e.Type == audit.LockProved {
			seen[fmt.Sprintf("%s %s %d", e.Device, e.Run, e.N)]++
		} else if e.Type == audit.SpoolGap || e.Type == audit.SpoolRollback {
			t.Errorf("%s", lines.Text())
		}
	}
	for what, n := range seen {
		if n != 1 {
			t.Errorf("%s is there %d times", what, n)
		}
	}
	if len(seen) != devices*each {
		t.Errorf("%d events, want %d", len(seen), devices*each)
	}
	s.tool("verify", "--data", s.data)
}

func TestTokens(t *testing.T) {
	s := newSite(t)
	enroll := func(text string) error {
		tok, err := uplink.ParseToken(text)
		if err != nil {
			return err
		}
		_, err = courier.Enroll(context.Background(), courier.EnrollOptions{Dir: filepath.Join(t.TempDir(), "identity"), URL: "https://" + s.address}, tok)
		return err
	}
	good := s.tool("token", "--data", s.data, "--url", "https://"+s.address, "ws-1")
	changed := func(f func(*uplink.Token)) string {
		tok, err := uplink.ParseToken(s.tool("token", "--data", s.data, "ws-1"))
		if err != nil {
			t.Fatal(err)
		}
		f(&tok)
		return tok.String()
	}
	if err := enroll(good); err != nil {
		t.Fatal(err)
	}
	short := s.tool("token", "--data", s.data, "--ttl", "1ms", "ws-1")
	time.Sleep(5 * time.Millisecond)
	for name, c := range map[string]struct{ token, says string }{
		"used":        {good, "token"},
		"expired":     {short, "token"},
		"other CA":    {changed(func(t *uplink.Token) { t.CA = audit.Hash([]byte("x")) }), "fingerprint"},
		"other word":  {changed(func(t *uplink.Token) { t.Secret += "x" }), "token"},
		"garbage":     {"sa1.AAAA", "not an enrolment token"},
		"other name":  {changed(func(t *uplink.Token) { t.Device = "ws-2" }), "another device"},
		"nothing":     {"", "not an enrolment token"},
		"quote in it": {changed(func(t *uplink.Token) { t.Secret = "' OR 1=1 --" }), "token"},
	} {
		if err := enroll(c.token); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if db, err := os.ReadFile(filepath.Join(s.data, "collector.db-wal")); err == nil {
		tok, _ := uplink.ParseToken(good)
		if bytes.Contains(db, []byte(tok.Secret)) {
			t.Error("the secret is in the database")
		}
	}
}
