//go:build linux

// Package rig gives tests real things to run against: an X server, a session bus, a machine with systemd,
// logind, PAM and lockers. Only tests import it.
//
// Failure rules: what is missing fails the test with "run `make deps`"; nothing is skipped. Everything a test
// starts ends with it, also when the test process is killed, and concurrent runs do not see one another.
package rig

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Patience bounds every wait for something that should come at once; generous, for a busy machine.
const Patience = 60 * time.Second

// Tool returns the path of a program that the test needs, or fails the test.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed: run `make deps`", name)
	}
	return path
}

// WaitFor polls cond until it holds, or fails the test with what after Patience.
func WaitFor(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(Patience); !cond(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v in vain for %s", Patience, what)
		}
	}
}

// Start runs cmd until the end of the test. It dies with the test process, however that ends.
func Start(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	started, end, ended := make(chan error), make(chan struct{}), make(chan struct{})
	go func() { // the parent-death signal follows the thread, so that thread stays
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(ended)
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		<-end
		_ = cmd.Process.Signal(syscall.SIGTERM) // an X server removes its socket
		force := time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() })
		defer force.Stop()
		_ = cmd.Wait()
	}()
	if err := <-started; err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	t.Cleanup(func() { close(end); <-ended })
}

// Xvfb starts an X server of the test's own and returns its display, such as ":4". Access is not
// restricted on it. Further arguments go to the server.
func Xvfb(t testing.TB, args ...string) (display string) {
	t.Helper()
	line := announce(t, exec.Command(Tool(t, "Xvfb"), append([]string{"-displayfd", "3", "-ac", "-noreset",
		"-nolisten", "tcp", "-screen", "0", "1280x800x24"}, args...)...))
	return ":" + line
}

// Bus starts a session bus of the test's own and returns its address.
func Bus(t testing.TB) (address string) {
	t.Helper()
	return announce(t, exec.Command(Tool(t, "dbus-daemon"), "--session", "--nofork", "--nopidfile",
		"--print-address=3", "--address=unix:dir="+shortDir(t)))
}

// announce starts a server that writes one line to its descriptor 3 once it is ready, and returns the line.
func announce(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd.ExtraFiles = []*os.File{w}
	Start(t, cmd)
	w.Close()
	_ = r.SetReadDeadline(time.Now().Add(Patience))
	line, err := bufio.NewReader(io.LimitReader(r, 4096)).ReadString('\n')
	if err != nil {
		t.Fatalf("wait for %s: %v", cmd.Path, err)
	}
	return strings.TrimSpace(line)
}

// shortDir is a temporary directory with a path short enough for a socket's name.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rig")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// here is the directory of this package's sources.
func here() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(file)
}

// output runs a command to its end and returns its output, stderr included.
func output(cmd *exec.Cmd) (string, error) {
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), err
}
