package lock

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/windows"

	"stepaway/session"
)

// desktop is where a user's programs are.
const desktop = `winsta0\default`

// kept is what a ladder knows from one call to the next.
type kept struct {
	started map[string]*process // by session and name
}

// Start starts a program in a session as its user, with the environment that his programs get. name tells such programs
// of one session apart; while one of that name that was started here runs, none is started.
func (l *Ladder) Start(ctx context.Context, s session.Session, name string, argv []string) error {
	got := make(chan error, 1)
	if err := l.within(ctx, startLimit, "start "+name+" in "+s.ID, func() { got <- l.start(s, name, argv) }); err != nil {
		return fmt.Errorf("start %s in session %s: %w", name, s.ID, err)
	}
	if err := <-got; err != nil {
		return fmt.Errorf("start %s in session %s: %w", name, s.ID, err)
	}
	return nil
}

var errNoPath = errors.New("its path is not absolute")

func (l *Ladder) start(s session.Session, name string, argv []string) error {
	if len(argv) == 0 || !filepath.IsAbs(argv[0]) {
		return errNoPath
	}
	key := s.ID + " " + name
	if l.runs(key) {
		return nil
	}
	launch := l.launchOwn
	if l.o.Root {
		launch = l.launchAs
	}
	p, err := launch(s, argv)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.started == nil {
		l.started = map[string]*process{}
	}
	l.started[key] = p
	return nil
}

// runs reports whether what was started last still runs, and forgets all that does not.
func (l *Ladder) runs(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, p := range l.started {
		if p.Ended() {
			p.Close()
			delete(l.started, k)
		}
	}
	return l.started[key] != nil
}

// launchOwn starts a program in this process's own session.
func (l *Ladder) launchOwn(_ session.Session, argv []string) (*process, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = filepath.Dir(argv[0])
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	defer func() { _ = cmd.Process.Release() }()
	return hold(uint32(cmd.Process.Pid)) // which is held by cmd until then
}

// launchAs starts a program with the token of a session's user. It inherits nothing.
func (l *Ladder) launchAs(s session.Session, argv []string) (*process, error) {
	token, err := l.userToken(s)
	if err != nil {
		return nil, err
	}
	defer token.Close()
	var env *uint16
	if err := windows.CreateEnvironmentBlock(&env, token, false); err != nil {
		return nil, fmt.Errorf("make an environment: %w", err)
	}
	defer windows.DestroyEnvironmentBlock(env)
	texts, err := pointers(argv[0], windows.ComposeCommandLine(argv), filepath.Dir(argv[0]), l.desktop())
	if err != nil {
		return nil, err
	}
	si := windows.StartupInfo{Desktop: texts[3]}
	si.Cb = uint32(unsafe.Sizeof(si))
	var pi windows.ProcessInformation
	if err := windows.CreateProcessAsUser(token, texts[0], texts[1], nil, nil, false,
		windows.CREATE_UNICODE_ENVIRONMENT, env, texts[2], &si, &pi); err != nil {
		return nil, fmt.Errorf("create a process: %w", err)
	}
	_ = windows.CloseHandle(pi.Thread)
	return &process{pi.Process, pi.ProcessId}, nil
}

func (l *Ladder) desktop() string {
	if l.o.Desktop != "" {
		return l.o.Desktop
	}
	return desktop
}

// pointers makes of texts what Windows takes.
func pointers(texts ...string) ([]*uint16, error) {
	var out []*uint16
	for _, t := range texts {
		p, err := windows.UTF16PtrFromString(t)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}
