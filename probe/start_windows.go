package probe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"stepaway/session"
)

// New returns Probes that keep none yet. Close it.
//
// A probe in another session gets this process's own token, moved there: only LocalSystem may do that. In the
// session of this process it is a child like any other, with whatever rights this process has.
func New(o Options) (*Probes, error) {
	if o.Program == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find this program: %w", err)
		}
		o.Program = self
	}
	o = o.withDefaults()
	d := &desktops{program: o.Program, desktop: o.Desktop}
	if err := windows.ProcessIdToSessionId(windows.GetCurrentProcessId(), &d.own); err != nil {
		return nil, fmt.Errorf("ask for the session of this process: %w", err)
	}
	return newProbes(o, d), nil
}

// desktops starts processes in sessions.
type desktops struct {
	program, desktop string
	own              uint32 // session of this process
	always           bool   // move the token to a session in which it is already; for tests
}

func (d *desktops) start(s session.Session) (*process, error) {
	id, err := number(s)
	if err != nil {
		return nil, err
	}
	if id == d.own && !d.always {
		return d.talkTo(0)
	}
	token, err := serviceToken(id)
	if err != nil {
		return nil, err
	}
	defer token.Close()
	return d.talkTo(token)
}

// number reads the id of a session, which is never that of the services.
func number(s session.Session) (uint32, error) {
	id, err := strconv.ParseUint(s.ID, 10, 32)
	if err != nil || id == 0 {
		return 0, fmt.Errorf("session %q: not a session of a user", s.ID)
	}
	return uint32(id), nil
}

// serviceToken is this process's token, moved to a session.
func serviceToken(id uint32) (windows.Token, error) {
	var own, moved windows.Token
	err := windows.OpenProcessToken(windows.CurrentProcess(), windows.TOKEN_DUPLICATE|windows.TOKEN_QUERY, &own)
	if err != nil {
		return 0, fmt.Errorf("open the token of this process: %w", err)
	}
	defer own.Close()
	const rights = windows.TOKEN_QUERY | windows.TOKEN_DUPLICATE | windows.TOKEN_ASSIGN_PRIMARY | windows.TOKEN_ADJUST_DEFAULT | windows.TOKEN_ADJUST_SESSIONID
	if err := windows.DuplicateTokenEx(own, rights, nil, windows.SecurityImpersonation, windows.TokenPrimary, &moved); err != nil {
		return 0, fmt.Errorf("copy the token of this process: %w", err)
	}
	if err := windows.SetTokenInformation(moved, windows.TokenSessionId, (*byte)(unsafe.Pointer(&id)), uint32(unsafe.Sizeof(id))); err != nil {
		moved.Close()
		return 0, fmt.Errorf("move a token to session %d: %w", id, err)
	}
	return moved, nil
}

// talkTo starts a probe with a token, 0 for this process's own, and two pipes that nobody else has.
func (d *desktops) talkTo(token windows.Token) (*process, error) {
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	defer theirIn.Close()
	out, theirOut, err := os.Pipe()
	if err != nil {
		in.Close()
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	defer theirOut.Close()
	h, err := d.run(token, []windows.Handle{windows.Handle(theirIn.Fd()), windows.Handle(theirOut.Fd())}, Verb)
	if err != nil {
		in.Close()
		out.Close()
		return nil, err
	}
	return &process{in: in, out: out, end: func() string { return end(h) }}, nil
}

// run starts this program. It inherits pipes as its standard input and output, or nothing, and one variable: where Windows is.
func (d *desktops) run(token windows.Token, pipes []windows.Handle, args ...string) (windows.Handle, error) {
	var si windows.StartupInfoEx
	si.Cb = uint32(unsafe.Sizeof(si))
	program, line, env, err := d.words(&si, args)
	if err != nil {
		return 0, err
	}
	if len(pipes) == 2 {
		list, err := inherit(pipes)
		if err != nil {
			return 0, err
		}
		defer list.Delete()
		si.ProcThreadAttributeList = list.List()
		si.Flags, si.StdInput, si.StdOutput = windows.STARTF_USESTDHANDLES, pipes[0], pipes[1]
	}
	const flags = windows.CREATE_UNICODE_ENVIRONMENT | windows.EXTENDED_STARTUPINFO_PRESENT | windows.DETACHED_PROCESS
	var info windows.ProcessInformation
	if token == 0 {
		err = windows.CreateProcess(program, line, nil, nil, len(pipes) > 0, flags, env, nil, &si.StartupInfo, &info)
	} else {
		err = windows.CreateProcessAsUser(token, program, line, nil, nil, len(pipes) > 0, flags, env, nil, &si.StartupInfo, &info)
	}
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", d.program, err)
	}
	windows.CloseHandle(info.Thread)
	return info.Process, nil
}

// words puts what a new process is told in the form that Windows wants.
func (d *desktops) words(si *windows.StartupInfoEx, args []string) (program, line, env *uint16, err error) {
	root, err := windows.GetSystemWindowsDirectory()
	if err != nil {
		return nil, nil, nil, fmt.Errorf("ask where Windows is: %w", err)
	}
	words := make([][]uint16, 4)
	for i, s := range []string{d.program, windows.ComposeCommandLine(append([]string{d.program}, args...)), "SystemRoot=" + root, d.desktop} {
		if words[i], err = windows.UTF16FromString(s); err != nil {
			return nil, nil, nil, fmt.Errorf("start %q: %w", d.program, err)
		}
	}
	block := append(words[2], 0)
	if d.desktop != "" { // else that of this process
		si.Desktop = &words[3][0]
	}
	return &words[0][0], &words[1][0], &block[0], nil
}

// inherit makes handles the only ones that a new process gets.
func inherit(handles []windows.Handle) (*windows.ProcThreadAttributeListContainer, error) {
	for _, h := range handles {
		if err := windows.SetHandleInformation(h, windows.HANDLE_FLAG_INHERIT, windows.HANDLE_FLAG_INHERIT); err != nil {
			return nil, fmt.Errorf("let a pipe be inherited: %w", err)
		}
	}
	list, err := windows.NewProcThreadAttributeList(1)
	if err != nil {
		return nil, fmt.Errorf("list what is inherited: %w", err)
	}
	size := uintptr(len(handles)) * unsafe.Sizeof(handles[0])
	if err := list.Update(windows.PROC_THREAD_ATTRIBUTE_HANDLE_LIST, unsafe.Pointer(&handles[0]), size); err != nil {
		list.Delete()
		return nil, fmt.Errorf("list what is inherited: %w", err)
	}
	return list, nil
}

// end ends a process and tells how it ended.
func end(h windows.Handle) string {
	defer windows.CloseHandle(h)
	if code, ended := exit(h, 0); ended {
		return fmt.Sprintf("it ended with code %#x", code)
	}
	if err := windows.TerminateProcess(h, 1); err != nil {
		return fmt.Sprintf("it cannot be ended: %v", err)
	}
	if _, ended := exit(h, endWithin); !ended {
		return "it was ended and lives on"
	}
	return "it was ended"
}

// exit waits at most within for the end of a process, and returns its code.
func exit(h windows.Handle, within time.Duration) (code uint32, ended bool) {
	if e, err := windows.WaitForSingleObject(h, uint32(within.Milliseconds())); err != nil || e != windows.WAIT_OBJECT_0 {
		return 0, false
	}
	return code, windows.GetExitCodeProcess(h, &code) == nil
}

const (
	lockWithin = 5 * time.Second // for the process that locks for its user
	lockLook   = 50 * time.Millisecond
)

// lock has a process with the token of the session's user lock its desktop. In this process's own session the probe is that.
func (d *desktops) lock(ctx context.Context, s session.Session) error {
	id, err := number(s)
	if err != nil {
		return err
	}
	if id == d.own {
		return errors.New("no other token in this session")
	}
	var token windows.Token
	if err := windows.WTSQueryUserToken(id, &token); err != nil {
		return fmt.Errorf("ask for the token of session %d: %w", id, err)
	}
	defer token.Close()
	h, err := d.run(token, nil, Verb, "--"+LockFlag)
	if err != nil {
		return err
	}
	defer windows.CloseHandle(h)
	ctx, cancel := context.WithTimeout(ctx, lockWithin)
	defer cancel()
	for ctx.Err() == nil {
		if code, ended := exit(h, lockLook); ended && code != 0 {
			return fmt.Errorf("%w, code %d", ErrRefused, code)
		} else if ended {
			return nil
		}
	}
	return fmt.Errorf("wait for the process of the user: %w", ctx.Err())
}
