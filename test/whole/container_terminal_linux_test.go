package whole

import (
	"bytes"
	"context"
	"io"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/clock"
)

// printed collects what a program prints.
type printed struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *printed) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *printed) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// remote is an ssh connection to the machine itself.
type remote struct {
	printed
	keys  io.WriteCloser
	ended chan struct{}
}

// ssh logs nurse on over the network.
func (m *machine) ssh(args ...string) *remote {
	m.t.Helper()
	cmd := m.Command(context.Background(), append([]string{"ssh", "-o", "StrictHostKeyChecking=accept-new", "-o", "BatchMode=yes"}, args...)...)
	r := &remote{ended: make(chan struct{})}
	var err error
	if r.keys, err = cmd.StdinPipe(); err != nil {
		m.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = &r.printed, &r.printed
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	go func(cmd *exec.Cmd) { _ = cmd.Wait(); close(r.ended) }(cmd)
	m.t.Cleanup(func() { _ = cmd.Process.Kill(); <-r.ended })
	return r
}

func (r *remote) open() bool {
	select {
	case <-r.ended:
		return false
	default:
		return true
	}
}

// The kernel tells of a terminal's input in steps of eight seconds, so a deadline there may be that much nearer.
func TestMachineTerminalIsWarnedAndEnded(t *testing.T) {
	const steps, allowed = 8 * time.Second, 24 * time.Second
	m := install(t, "limit: 24s\nwarning: 8s\n")
	m.Must("mkdir", "-p", "/run/sshd")
	m.Must("ssh-keygen", "-A")
	m.Must("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/root/.ssh/id_ed25519")
	m.Must("install", "-D", "-m", "600", "-o", "nurse", "-g", "nurse", "/root/.ssh/id_ed25519.pub", "/home/nurse/.ssh/authorized_keys")
	m.Must("systemd-run", "-q", "--unit=remote-logins", "/usr/sbin/sshd", "-D", "-e")
	m.WaitFor("sshd", func() bool {
		_, err := m.Run(context.Background(), "ssh", "-o", "StrictHostKeyChecking=accept-new", "nurse@127.0.0.1", "true")
		return err == nil
	})
	since := clock.Now()
	job := m.ssh("nurse@127.0.0.1", "sleep", "1000")
	m.WaitFor("the job", func() bool { return len(m.find("nurse", "/usr/bin/sleep")) == 1 })
	person := m.ssh("-tt", "nurse@127.0.0.1")
	start := m.await(since, audit.SessionStart, "kind=ssh", "user=nurse")
	id := string(start.Session.ID)
	if late := at(start) - since; late > 30*time.Second {
		t.Errorf("the terminal was found %v after the logon", late)
	}
	m.step("logged on")

	m.await(since, audit.WarningShown, "session="+id, "source=tty")
	m.WaitFor("the warning on the terminal", func() bool {
		return strings.Contains(person.text(), "\a") && strings.Contains(person.text(), "Stepaway")
	})
	last := span{from: clock.Now()}
	if _, err := person.keys.Write([]byte("echo typed-$((20+22))\n")); err != nil {
		t.Fatal(err)
	}
	last.to = clock.Now()
	m.WaitFor("an answer on the terminal", func() bool { return strings.Contains(person.text(), "typed-42") })
	m.await(last.from, audit.WarningCleared, "session="+id)
	m.step("typing put it off")

	e := m.await(last.to, audit.SignoutRequested, "session="+id, "reason=idle")
	if early, late := last.from+allowed-steps-scheduler-at(e), at(e)-last.to-allowed-promptly; early > 0 || late > 0 {
		t.Errorf("ended %v after the last key, want %v to %v", at(e)-last.from, allowed-steps, allowed)
	}
	m.await(last.to, audit.SignoutDone, "session="+id, "proof=ended", "rung=terminate")
	m.WaitFor("the terminal to be closed", func() bool { return !person.open() })
	if !job.open() || len(m.find("nurse", "/usr/bin/sleep")) != 1 {
		t.Error("a job without a terminal was ended")
	}
	m.delivered()
	m.verified()
}
