// Package wine runs Windows programs in tests: each test gets a fresh Windows of its own, made with Wine, with a screen.
//
// Failure rules: what is missing fails the test; nothing is skipped. Everything a test starts ends with it, and
// concurrent tests and runs do not see one another. What Wine shows is not always what Windows does: see test.sh.
package wine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"stepaway/test/rig"
)

// Patience bounds one run of a program, on a busy machine.
const Patience = 2 * time.Minute

// Windows is a Windows of one test's own.
type Windows struct {
	Display string // its screen, such as ":4", of 1280x800 with a desktop of 1024x768
	prefix  string
	program string
}

// New makes a Windows as it is after its first start. It ends with the test.
func New(t testing.TB) *Windows {
	t.Helper()
	w := &Windows{prefix: filepath.Join(t.TempDir(), "windows")}
	w.program = filepath.Join(script(t), "bin", "wine")
	script(t, "prefix", w.prefix)
	t.Cleanup(func() { script(t, "end", w.prefix) })
	w.Display = rig.Xvfb(t)
	return w
}

// script runs wine.sh and returns the last line of its output.
func script(t testing.TB, args ...string) string {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	cmd := exec.Command(filepath.Join(filepath.Dir(file), "..", "wine.sh"), args...)
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		t.Fatalf("wine.sh %q: %v", args, err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}

// C is where a path below C:\, written with slashes, is for Linux.
func (w *Windows) C(path string) string { return filepath.Join(w.prefix, "drive_c", path) }

// Restart ends every program, so that the next ones find what the registry says now.
func (w *Windows) Restart(t testing.TB) {
	t.Helper()
	for _, arg := range []string{"-k", "-w"} { // end; wait
		cmd := exec.Command(w.program+"server", arg)
		cmd.Env = append(os.Environ(), "WINEPREFIX="+w.prefix)
		if out, err := cmd.CombinedOutput(); err != nil && arg == "-w" { // -k fails where none runs
			t.Fatalf("end the programs of Windows: %v: %s", err, out)
		}
	}
}

// Command is a program of Windows: a path of Linux, C:\..., or a name that Windows knows, like reg. It is ended when ctx is.
// Wine invents permissions of files from their modes: what a program makes is for its owner alone, as below a profile of Windows.
func (w *Windows) Command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", `umask 077; exec "$0" "$@"`, w.program, program}, args...)...)
	cmd.Env = append(os.Environ(), "WINEPREFIX="+w.prefix, "DISPLAY="+w.Display, "WAYLAND_DISPLAY=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // follows the thread: see Run
	return cmd
}

// Result is what came of a program.
type Result struct {
	Stdout, Stderr string // with line ends of Linux
	Code           int    // modulo 256
}

// Run runs a program to its end. The error is that of a program that could not run or was ended, not its exit code.
func (w *Windows) Run(ctx context.Context, program string, args ...string) (Result, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	cmd := w.Command(ctx, program, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = time.Second // what it started may hold its output
	err := cmd.Run()
	lines := func(b *bytes.Buffer) string { return strings.ReplaceAll(b.String(), "\r\n", "\n") }
	r := Result{Stdout: lines(&out), Stderr: lines(&errs), Code: -1}
	if cmd.ProcessState != nil {
		r.Code = cmd.ProcessState.ExitCode()
	}
	var exit *exec.ExitError
	if errors.Is(err, exec.ErrWaitDelay) || errors.As(err, &exit) && exit.Exited() {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("%s %q: %w", program, args, errors.Join(err, ctx.Err()))
	}
	return r, err
}

// Must runs a program that must succeed, and returns its output.
func (w *Windows) Must(t testing.TB, program string, args ...string) string {
	t.Helper()
	r, err := w.Run(t.Context(), program, args...)
	if err != nil || r.Code != 0 {
		t.Fatalf("%s %q: exit %d, %v\n%s%s", program, args, r.Code, err, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// Build builds a program of this module for Windows, into a directory of the test's, and returns its path.
func Build(t testing.TB, pkg string) string {
	t.Helper()
	exe := filepath.Join(t.TempDir(), filepath.Base(pkg)+".exe")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-X main.version=0.0.1-test", "-o", exe, pkg)
	cmd.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
	return exe
}
