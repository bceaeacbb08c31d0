//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"stepaway/clock"
	"stepaway/test/desktop"
)

// screen is a place where a contender watches for input.
type screen interface {
	// input gives one input and returns when it was, since boot.
	input() (time.Duration, error)
	// command prepares a program to run on the screen.
	command(name string, args ...string) *exec.Cmd
	// dir holds the screen's files; programs of the screen may write there.
	dir() string
	close() error
}

// xScreen is a virtual X display.
type xScreen struct {
	desk *desktop.Desktop
	in   *injector
	path string
}

// newX starts a virtual display; whole adds session bus, panel and notification daemon.
func newX(path string, whole bool) (screen, error) {
	o := desktop.Options{Width: 320, Height: 240}
	if whole {
		o = desktop.Options{Width: 1024, Height: 768, Bus: true, Panel: true}
	}
	desk, err := desktop.New(path, o)
	if err != nil {
		return nil, err
	}
	in, err := dialInjector(desk.Display)
	if err != nil {
		return nil, errors.Join(err, desk.Close())
	}
	return &xScreen{desk: desk, in: in, path: path}, nil
}

func (x *xScreen) input() (time.Duration, error) { return x.in.input() }
func (x *xScreen) dir() string                   { return x.path }

func (x *xScreen) command(name string, args ...string) *exec.Cmd {
	return x.desk.Command(name, args...)
}

func (x *xScreen) close() error {
	x.in.close()
	return x.desk.Close()
}

// swayScreen is a headless Wayland session. sway does not run as root, so it runs as nobody there.
type swayScreen struct {
	sway *desktop.Process
	path string
	env  []string
}

const nobody = 65534

func newSway(path string) (screen, error) {
	for _, tool := range []string{"sway", "swayidle", "wtype"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("%s is not there: run `make deps`", tool)
		}
	}
	config := filepath.Join(path, "config")
	if err := os.WriteFile(config, []byte("output HEADLESS-1 resolution 320x240\nxwayland disable\n"), 0o644); err != nil {
		return nil, err
	}
	if os.Getuid() == 0 {
		if err := os.Chown(path, nobody, nobody); err != nil {
			return nil, err
		}
	}
	if err := os.Chmod(path, 0o700); err != nil { // what XDG_RUNTIME_DIR has to be
		return nil, err
	}
	s := &swayScreen{path: path, env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + path, "XDG_RUNTIME_DIR=" + path,
		"WLR_BACKENDS=headless", "WLR_LIBINPUT_NO_DEVICES=1", "WLR_RENDERER=pixman", "WAYLAND_DISPLAY=wayland-1"}}
	cmd := s.command("sway", "-c", config)
	cmd.Env = s.env[:len(s.env)-1]
	var err error
	if s.sway, err = desktop.Launch(path, "sway", cmd); err != nil {
		return nil, err
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(path, "wayland-1")); err == nil {
			return s, nil
		}
		if time.Now().After(end) {
			return nil, errors.Join(fmt.Errorf("sway does not start: %s", strings.TrimSpace(s.sway.Output())), s.close())
		}
	}
}

// input types a Shift key; the instant is the middle of what wtype took, some milliseconds.
func (s *swayScreen) input() (time.Duration, error) {
	before := clock.Now()
	if out, err := s.command("wtype", "-k", "Shift_L").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("wtype: %w: %s", err, out)
	}
	return (before + clock.Now()) / 2, nil
}

func (s *swayScreen) dir() string { return s.path }

func (s *swayScreen) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env, cmd.Dir = s.env, s.path
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	return cmd
}

func (s *swayScreen) close() error { return s.sway.Stop(5 * time.Second) }
