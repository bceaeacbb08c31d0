package proc

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func child(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = []string{"DISPLAY=:7", "EMPTY="}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

func TestReadOwnProcess(t *testing.T) {
	p, err := Read(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	exe, _ := os.Executable()
	if p.UID != uint32(os.Getuid()) || p.Exe != exe || p.Gone || !p.Running() || p.Start <= 0 || p.Group == "" {
		t.Errorf("%+v", p)
	}
}

func TestNameWithParenthesesAndDeletedExecutable(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a) Z 1 (b")
	src, _ := exec.LookPath("sleep")
	b, _ := os.ReadFile(src)
	if err := os.WriteFile(name, b, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := child(t, name, "1000")
	_ = os.Remove(name)
	p, err := Read(cmd.Process.Pid)
	if err != nil || p.Exe != name || !p.Gone || !p.Running() {
		t.Errorf("%+v, %v", p, err)
	}
	if got := Env(cmd.Process.Pid, "DISPLAY"); got != ":7" {
		t.Errorf("DISPLAY is %q", got)
	}
}

func TestGroupLines(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"0::/user.slice/user-1000.slice/session-2.scope\n", "/user.slice/user-1000.slice/session-2.scope"},
		{"9:name=systemd:/user.slice/a.scope\n1:cpu:/\n0::/\n", "/user.slice/a.scope"},
		{"9:name=systemd:/\n1:cpu:/\n0::/b.scope\n", "/b.scope"},
		{"0::/a:b::c\n", "/a:b::c"},
		{"", ""},
	} {
		if got := group(c.in); got != c.want {
			t.Errorf("%q: got %q, want %q", c.in, got, c.want)
		}
	}
}

func TestPinSignalWait(t *testing.T) {
	cmd := child(t, "sleep", "1000")
	p, err := Pin(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := p.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) || p.Ended() {
		t.Fatalf("a living process: %v", err)
	}
	if err := p.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(t.Context()); err != nil || !p.Ended() {
		t.Fatalf("a killed process: %v", err)
	}
	_ = cmd.Wait()
	if err := p.Signal(syscall.SIGKILL); !errors.Is(err, ErrGone) {
		t.Errorf("signal to a process that is gone: %v", err)
	}
	if _, err := Pin(cmd.Process.Pid); !errors.Is(err, ErrGone) {
		t.Errorf("pin of a process that is gone: %v", err)
	}
}

// A parent may never take note of a child that ended: a failure is told all the same, and a success is not guessed.
func TestFailedBeforeTheParentTakesNote(t *testing.T) {
	for script, want := range map[string]bool{"kill -KILL $$": true, "exit 3": true, "exit 0": false} {
		cmd := child(t, "sh", "-c", "kill -STOP $$; "+script)
		stopped(t, cmd)
		p, err := Pin(cmd.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if p.Failed() {
			t.Errorf("%s: failed before it ended", script)
		}
		if err := p.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		if err := p.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := p.Failed(); got != want {
			t.Errorf("%s: failed is %v", script, got)
		}
		_ = cmd.Wait()
		if p.Failed() {
			t.Errorf("%s: failed is read from a process that is gone", script)
		}
	}
}

func TestStoppedIsNotRunning(t *testing.T) {
	cmd := child(t, "sleep", "1000")
	_ = cmd.Process.Signal(syscall.SIGSTOP)
	if p := stopped(t, cmd); p.Running() || !p.Alive() {
		t.Errorf("%+v", p)
	}
}

// stopped waits until a child is.
func stopped(t *testing.T, cmd *exec.Cmd) Process {
	t.Helper()
	for {
		p, err := Read(cmd.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		if p.State == 'T' {
			return p
		}
		time.Sleep(time.Millisecond)
	}
}

func TestGroupDirRefusesWhatIsNoGroup(t *testing.T) {
	for _, g := range []string{"", "/", "/../../etc", "/a/../../..", "/no/such/group"} {
		if dir, err := GroupDir(g); err == nil {
			t.Errorf("%q: %s", g, dir)
		}
	}
}

func TestGroupIDs(t *testing.T) {
	ids, err := GroupIDs(os.Getpid())
	if err != nil || len(ids) == 0 || ids[0] != uint32(os.Getgid()) {
		t.Errorf("%v, %v", ids, err)
	}
	if _, err := GroupIDs(1 << 30); err == nil || !strings.Contains(err.Error(), "process") {
		t.Errorf("no such process: %v", err)
	}
}
