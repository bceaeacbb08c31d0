//go:build linux

package desktop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is a program that was started here, and is ended here by its handle.
type Process struct {
	Name string
	Log  string // file with its output
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// starts takes programs to start. The signal that a child gets when its parent ends follows the thread that
// started it, so one thread that never ends starts them all.
var starts = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

// Launch starts cmd with its output in a file called name.log in dir. The program dies with this one.
func Launch(dir, name string, cmd *exec.Cmd) (*Process, error) {
	log, err := os.Create(filepath.Join(dir, name+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	started := make(chan error)
	starts() <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &Process{Name: name, Log: log.Name(), cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// PID of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed once the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// ExitCode is that of the process once Done is closed, -1 where a signal ended it.
func (p *Process) ExitCode() int { return p.cmd.ProcessState.ExitCode() }

// Signal sends a signal by the process's handle; an ended process takes none.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Stop asks the process to end, and ends it by force where it has not done so after patience.
func (p *Process) Stop(patience time.Duration) error {
	_ = p.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return nil
	case <-time.After(patience):
	}
	_ = p.cmd.Process.Kill()
	<-p.done
	return fmt.Errorf("%s had to be ended by force", p.Name)
}

// Output is what the process has written so far, for messages about what went wrong.
func (p *Process) Output() string {
	b, _ := os.ReadFile(p.Log)
	const most = 4000
	return string(b[max(0, len(b)-most):])
}

// Descendants finds the processes that a process has started, and those that they have, by the name of their program;
// of several with one name one that is nearest.
func Descendants(pid int) map[string]int {
	found := map[string]int{}
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		b, _ := os.ReadFile(list)
		for _, word := range strings.Fields(string(b)) {
			child, _ := strconv.Atoi(word)
			exe, _ := os.Readlink(filepath.Join("/proc", word, "exe"))
			found[filepath.Base(exe)] = child
			for name, p := range Descendants(child) {
				if _, nearer := found[name]; !nearer {
					found[name] = p
				}
			}
		}
	}
	return found
}
