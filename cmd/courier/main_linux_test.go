package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/link"
	"stepaway/spool"
)

// program builds the courier, or another command, once for the test.
func program(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if out, err := exec.Command("go", "build", "-o", path, "stepaway/cmd/"+name).CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	return path
}

// call runs a command to its end and answers both outputs and the exit code.
func call(t *testing.T, program string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

func TestCommandLine(t *testing.T) {
	courier, collector := program(t, "courier"), program(t, "collector")
	none := t.TempDir()
	data := filepath.Join(none, "data")
	if _, _, code := call(t, collector, "init", "--data", data); code != 0 {
		t.Fatal("init")
	}
	out, _, _ := call(t, collector, "token", "ws-1", "--data", data, "--url", "https://c.example:1")
	token := strings.TrimSpace(out)
	for _, c := range []struct {
		program string
		args    string
		code    int
		says    string // part of the one line on stderr, or of stdout when the code is 0
	}{
		{courier, "", 2, "usage"},
		{courier, "--help", 0, "enroll"},
		{courier, "frobnicate", 2, "frobnicate"},
		{courier, "run --help", 0, "-state"},
		{courier, "enroll --help", 0, "-token"},
		{courier, "status --help", 0, "-json"},
		{courier, "audit --help", 0, "verify"},
		{courier, "audit verify --help", 0, "-state"},
		{courier, "audit export --help", 0, "-format"},
		{courier, "version --help", 0, "version"},
		{courier, "version", 0, "stepaway-courier "},
		{courier, "run --frob", 2, "run --help"},
		{courier, "run extra", 2, "extra"},
		{courier, "enroll", 2, "--token"},
		{courier, "enroll --token x --collector https://c", 2, "sa1."},
		{courier, "enroll --token " + token + " --collector https://other:1", 2, "contradicts"},
		{courier, "enroll --collector http://c:1 --token " + token, 2, "contradicts"},
		{courier, "enroll --cert a", 2, "--cert and --key"},
		{courier, "enroll --cert a --key b", 2, "--ca"},
		{courier, "enroll --cert a --key b --ca c", 2, "--collector"},
		{courier, "enroll --cert a --key b --thumbprint 00", 2, "--thumbprint"},
		{courier, "enroll --cert a --token " + token, 2, "--token"},
		{courier, "enroll --thumbprint 00 --ca " + data + "/ca.crt --collector https://c:1 --state " + none, 1, "Windows"},
		{courier, "enroll --cert " + none + "/none --key " + none + "/none --ca " + data + "/ca.crt --collector https://c:1 --state " + none, 1, "no such file"},
		{courier, "enroll --proxy socks5://p:1 --token " + token + " --state " + none, 1, "http://HOST:PORT"},
		{courier, "audit", 2, "verify or export"},
		{courier, "audit export --format xml", 2, "json, dicom, fhir and csv"},
		{courier, "sinks", 2, "check"},
		{courier, "sinks check", 2, "FILE"},
		{courier, "sinks check " + none + "/none.yaml", 1, "no such file"},
		{courier, "audit verify --state " + none, 1, "--state"},
		{courier, "status --state " + none, 1, "--state"},
		{collector, "", 2, "usage"},
		{collector, "--help", 0, "verify"},
		{collector, "frobnicate", 2, "frobnicate"},
		{collector, "init --help", 0, "-host"},
		{collector, "serve --help", 0, "-listen"},
		{collector, "token --help", 0, "-ttl"},
		{collector, "devices --help", 0, "-json"},
		{collector, "revoke --help", 0, "-undo"},
		{collector, "revoke --data " + data, 2, "DEVICE"},
		{collector, "revoke a/b --data " + data, 2, "device name"},
		{collector, "revoke ws-9 --data " + data, 1, "stepaway-collector devices"},
		{collector, "revoke ws-9 --undo --data " + data, 1, "not revoked"},
		{collector, "serve --cert a --data " + data, 2, "--key"},
		{collector, "serve --grace 0s --data " + data, 2, "--grace"},
		{collector, "serve --cert " + none + "/a --key " + none + "/b --listen 127.0.0.1:0 --data " + data, 1, "site's server certificate"},
		{collector, "serve --client-ca " + none + "/a --listen 127.0.0.1:0 --data " + data, 1, "CAs of devices"},
		{collector, "events --help", 0, "-since"},
		{collector, "verify --help", 0, "-json"},
		{collector, "report --help", 0, "-json"},
		{collector, "version", 0, "stepaway-collector "},
		{collector, "init --data " + data, 1, "already"},
		{collector, "init --host https://c:1 --data x", 2, "bare name"},
		{collector, "serve --store postgres://u@127.0.0.1:1/d --data " + data, 1, "--store"},
		{collector, "serve --data " + none, 1, "init"},
		{collector, "serve --listen 300.1.1.1:1 --data " + data, 1, "--listen"},
		{collector, "token --data " + data, 2, "DEVICE"},
		{collector, "token a b --data " + data, 2, `"b"`},
		{collector, "token -x --data " + data, 2, "token"},
		{collector, "token a/b --data " + data, 2, "device name"},
		{collector, "token a --ttl -1s --data " + data, 2, "--ttl"},
		{collector, "token a --url http://c --data " + data, 2, "--url"},
		{collector, "events --since yesterday --data " + data, 2, "--since"},
		{collector, "events --json --data " + data, 0, ""},
		{collector, "verify --data " + data, 0, "none missing"},
		{collector, "verify --json --data " + data, 0, "findings"},
		{collector, "devices --json --data " + data, 0, ""},
	} {
		out, errs, code := call(t, c.program, strings.Fields(c.args)...)
		text := errs
		if c.code == 0 {
			text = out
		}
		if code != c.code || !strings.Contains(text, c.says) {
			t.Errorf("%s %s: exit %d, want %d\nstdout: %s\nstderr: %s", filepath.Base(c.program), c.args, code, c.code, out, errs)
		}
		if code == 0 && c.args != "" && errs != "" || code != 0 && (out != "" || c.args != "" && strings.Count(errs, "\n") != 1) {
			t.Errorf("%s %s: data and errors mixed\nstdout: %s\nstderr: %s", filepath.Base(c.program), c.args, out, errs)
		}
	}
}

// agent is the agent's end of the link.
type agent struct{ outbox *link.Outbox }

func (agent) Tray(link.Peer, string) (string, string)                { return "", "role" }
func (agent) TrayUp(string, link.Peer, func(link.State))             {}
func (agent) TrayDown(string, link.Peer)                             {}
func (agent) LockNow(string)                                         {}
func (agent) Courier(link.Peer) bool                                 { return true }
func (agent) CourierSaid(*link.Courier)                              {}
func (agent) Status(context.Context, link.Peer) (link.Status, error) { return link.Status{}, nil }

// TestRunsAsAService goes the whole way with the real programs: READY, events without a collector, enrolment
// while running, delivery, verify and export of what waits, and a clean end.
func TestRunsAsAService(t *testing.T) {
	courier, collector := program(t, "courier"), program(t, "collector")
	dir := t.TempDir()
	state, data, socket := filepath.Join(dir, "state"), filepath.Join(dir, "data"), filepath.Join(dir, "link.sock")
	o := link.NewOutbox("0000abcd")
	server, err := link.Listen(socket, 0o600, agent{o}, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() { defer close(served); server.Serve(ctx) }()
	defer func() { cancel(); <-served }()

	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer notify.Close()
	run := exec.Command(courier, "run", "--state", state, "--link", socket, "--policy", filepath.Join(dir, "none.yaml"))
	run.Env = append(os.Environ(), "NOTIFY_SOCKET="+filepath.Join(dir, "notify"))
	var log bytes.Buffer
	run.Stderr = &log
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		run.Process.Signal(syscall.SIGTERM)
		if err := run.Wait(); err != nil {
			t.Errorf("courier: %v\n%s", err, log.String())
		}
	}()
	b := make([]byte, 64)
	notify.SetReadDeadline(time.Now().Add(60 * time.Second))
	if n, err := notify.Read(b); err != nil || string(b[:n]) != "READY=1" {
		t.Fatalf("%q, %v", b[:n], err)
	}
	for range 30 {
		e := audit.Event{V: audit.Version, Type: audit.LockProved, Wall: time.Now(), Severity: audit.Info, Outcome: audit.Success,
			Agent: "v1", Session: &audit.Session{ID: "2", Kind: "x11", User: "=cmd"}, Facts: &audit.Facts{IdleMS: audit.MS(-time.Second)}}
		e.Session.User = audit.MakeLabel("=cmd")
		o.Add(e)
	}
	eventually(t, "30 events stored", func() bool { _, waiting, _ := o.Counts(); return waiting == 0 })
	checkWaiting(t, courier, state)
	if _, errs, code := call(t, courier, "run", "--state", state, "--link", socket); code != 1 || !strings.Contains(errs, "another courier is running") {
		t.Errorf("a second courier: %d, %s", code, errs)
	}

	if _, errs, code := call(t, collector, "init", "--data", data); code != 0 {
		t.Fatal(errs)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	serve := exec.Command(collector, "serve", "--data", data, "--listen", address)
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { serve.Process.Signal(syscall.SIGTERM); serve.Wait() }()
	token, _, _ := call(t, collector, "token", "ws-1", "--data", data)
	eventually(t, "enrolled", func() bool {
		_, _, code := call(t, courier, "enroll", "--state", state, "--collector", "https://"+address, "--token", strings.TrimSpace(token))
		return code == 0
	})
	eventually(t, "30 events at the collector", func() bool {
		out, _, _ := call(t, collector, "events", "--json", "--data", data)
		return strings.Count(out, `"type":"lock.proved"`) == 30
	})
	if out, errs, code := call(t, collector, "verify", "--data", data); code != 0 {
		t.Errorf("%s%s", out, errs)
	}
	eventually(t, "status says so", func() bool {
		out, _, _ := call(t, courier, "status", "--json", "--state", state)
		var s statusNow
		return json.Unmarshal([]byte(out), &s) == nil && s.Running && s.Collector == "up" && s.Waiting == 0 && s.Device == "ws-1"
	})
	out, _, code := call(t, collector, "devices", "--json", "--data", data)
	if code != 0 || !strings.Contains(out, `"device":"ws-1"`) {
		t.Error(out)
	}
	checkCertificate(t, courier, state)
	if out, errs, code := call(t, collector, "revoke", "ws-1", "--data", data); code != 0 || !strings.Contains(out, "token ws-1") {
		t.Errorf("%d %s%s", code, out, errs)
	}
	o.Add(audit.Event{V: audit.Version, Type: audit.LockProved, Wall: time.Now(), Severity: audit.Info, Outcome: audit.Success, Agent: "v1"})
	eventually(t, "status says that the device is revoked", func() bool {
		out, _, _ := call(t, courier, "status", "--state", state)
		return strings.Contains(out, "revoked") && strings.Contains(out, "enroll it again") && !strings.Contains(out, " 0 waiting")
	})
}

// checkCertificate looks at what status says of it: 30 days, renewed by itself from the 20th to the 23rd.
func checkCertificate(t *testing.T, courier, state string) {
	t.Helper()
	out, _, _ := call(t, courier, "status", "--json", "--state", state)
	var s statusNow
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatal(err)
	}
	day := 24 * time.Hour
	if left := time.Until(s.CertUntil); left < 29*day || left > 30*day {
		t.Errorf("certificate until %v", s.CertUntil)
	}
	if left := time.Until(s.CertNext); left < 19*day || left > 23*day {
		t.Errorf("renewal from %v", s.CertNext)
	}
	if s.ClockOff != "" || s.Meaning != "" {
		t.Errorf("%+v", s)
	}
	out, _, _ = call(t, courier, "status", "--state", state)
	if !strings.Contains(out, "certificate until "+s.CertUntil.Format(time.DateOnly)+", renewed from "+s.CertNext.Format(time.DateOnly)) {
		t.Error(out)
	}
}

// checkWaiting looks at the 30 events with verify, export and status.
func checkWaiting(t *testing.T, courier, state string) {
	t.Helper()
	out, errs, code := call(t, courier, "audit", "verify", "--json", "--state", state)
	var v verified
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != 0 || !v.OK || v.Events != 30 || v.From != 1 || v.To != 30 {
		t.Errorf("verify: %d %s%s", code, out, errs)
	}
	out, _, _ = call(t, courier, "audit", "export", "--state", state)
	for i, line := range strings.Split(strings.TrimSpace(out), "\n") {
		var e struct {
			audit.Event
			Hash string
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Seq != uint64(i+1) || len(e.Hash) != 64 {
			t.Errorf("export: %s: %v", line, err)
		}
	}
	out, _, _ = call(t, courier, "audit", "export", "--format", "csv", "--state", state)
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil || len(rows) != 31 || len(rows[1]) != len(csvHeads) {
		t.Fatalf("csv: %d rows, %v", len(rows), err)
	}
	if rows[1][16] != "?cmd" || rows[1][19] != "-1000" {
		t.Errorf("csv: %q", rows[1])
	}
	out, _, _ = call(t, courier, "status", "--state", state)
	if !strings.Contains(out, "30 waiting") || !strings.Contains(out, "not enrolled") {
		t.Error(out)
	}
}

func TestVerifyTellsOfDamage(t *testing.T) {
	courier := program(t, "courier")
	dir := t.TempDir()
	s, _, err := spool.Open(filepath.Join(dir, "spool"), spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var es []audit.Event
	for n := range uint64(200) {
		es = append(es, audit.Event{V: 1, Type: audit.LockProved, Severity: audit.Info, Outcome: audit.Success, Run: "aa", N: n + 1})
	}
	if _, _, err := s.Append(es); err != nil {
		t.Fatal(err)
	}
	s.Close()
	path := filepath.Join(dir, "spool", "spool.db")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(path, bytes.ReplaceAll(b, []byte(`"n":150`), []byte(`"n":151`)), 0o600)
	out, errs, code := call(t, courier, "audit", "verify", "--json", "--state", dir)
	if code != 1 || !strings.Contains(out, `"ok":false`) || !strings.Contains(errs, "151") {
		t.Errorf("%d %s %s", code, out, errs)
	}
}

func TestGuardCell(t *testing.T) {
	for in, want := range map[string]string{"": "", "a": "a", "-5": "-5", "=1": "'=1", "+x": "'+x", "-x": "'-x", "@x": "'@x", "\tx": "'\tx"} {
		if got := guardCell(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}
