package installer

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"
	"unsafe"

	"github.com/kardianos/service"
	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"

	"stepaway/packaging"
	"stepaway/trusted"
)

// runKey lists what starts when a user logs on, for every user. Only an administrator writes it.
const runKey = `Software\Microsoft\Windows\CurrentVersion\Run`

const trayProgram = "stepaway-tray.exe"

// unit is one service.
type unit struct {
	name, title, about, program string
	user                        string // "" is the system's own account
	sid                         uint32 // type of the service's own SID
}

// units are the services in the order in which they are started.
var units = []unit{
	{name: packaging.AgentService, title: "Stepaway", about: "Secures this workstation when its user steps away.",
		program: "stepaway-agent.exe", sid: windows.SERVICE_SID_TYPE_UNRESTRICTED},
	{name: packaging.CourierService, title: "Stepaway records", about: "Keeps the records of Stepaway and carries them to the collector.",
		program: "stepaway-courier.exe", user: packaging.CourierUser, sid: windows.SERVICE_SID_TYPE_RESTRICTED},
}

// Install makes the directories, registers the services and the tray, and starts the services.
func (p Plan) Install() error {
	if err := trusted.Dirs(p.Dir, 0); err != nil {
		return fmt.Errorf("the services would run programs that others can replace; put them below Program Files: %w", err)
	}
	p.Say("make " + packaging.DataDir())
	if err := MakeDirs(packaging.DataDir()); err != nil {
		return err
	}
	for _, u := range units {
		if err := p.add(u); err != nil {
			return err
		}
	}
	p.Say("start the tray when a user logs on")
	if err := addTray(filepath.Join(p.Dir, trayProgram)); err != nil {
		return err
	}
	for _, u := range units {
		p.Say("start " + u.name)
		if err := start(u.name); err != nil {
			return err
		}
	}
	return nil
}

// Uninstall stops and removes what Install registered.
func (p Plan) Uninstall() error {
	for i := len(units) - 1; i >= 0; i-- {
		if err := p.remove(units[i]); err != nil {
			return err
		}
	}
	if err := removeTray(); err != nil {
		return err
	}
	p.Say("kept: " + packaging.DataDir() + " with policy, identity and records not yet delivered")
	return nil
}

func (p Plan) add(u unit) error {
	s, err := u.service(p.Dir)
	if err != nil {
		return err
	}
	_, err = s.Status()
	switch {
	case errors.Is(err, service.ErrNotInstalled):
		p.Say("register " + u.name)
		if err := s.Install(); err != nil {
			return fmt.Errorf("register the service %s: %w", u.name, err)
		}
	case err != nil:
		return fmt.Errorf("ask for the service %s: %w", u.name, err)
	default:
		p.Say("already there: " + u.name)
	}
	if err := p.settle(u); err != nil {
		return fmt.Errorf("settings of the service %s: %w", u.name, err)
	}
	return nil
}

// service is the unit as package service knows it, which also makes the source of the event log.
func (u unit) service(dir string) (service.Service, error) {
	s, err := service.New(nil, &service.Config{Name: u.name, DisplayName: u.title, Description: u.about, UserName: u.user,
		Executable: filepath.Join(dir, u.program), Arguments: []string{packaging.ServiceVerb}})
	if err != nil {
		return nil, fmt.Errorf("the service %s: %w", u.name, err)
	}
	return s, nil
}

// settle sets what package service does not: what is done when it fails, its own SID, and who may do what with it.
func (p Plan) settle(u unit) error {
	s, done, err := open(u.name)
	if err != nil {
		return err
	}
	defer done()
	for _, step := range []struct {
		about string
		do    func() error
	}{
		{"start it again when it fails", func() error {
			return s.SetRecoveryActions(restarts(), uint32(packaging.FailureReset/time.Second))
		}},
		{"start it again when it ends with an error", func() error { return s.SetRecoveryActionsOnNonCrashFailures(true) }},
		{"an account of its own", func() error { return setSID(s, u.sid) }},
		{"permissions", func() error { return permitService(s) }},
	} {
		err := step.do()
		if errors.Is(err, windows.ERROR_INVALID_LEVEL) {
			p.Say("this service manager does not know of: " + step.about) // as that of Wine
		} else if err != nil {
			return fmt.Errorf("%s: %w", step.about, err)
		}
	}
	return nil
}

func permitService(s *mgr.Service) error {
	sd, err := windows.SecurityDescriptorFromString(packaging.ServiceSDDL)
	if err != nil {
		return err
	}
	dacl, _, err := sd.DACL()
	if err != nil {
		return err
	}
	return windows.SetSecurityInfo(s.Handle, windows.SE_SERVICE, windows.DACL_SECURITY_INFORMATION, nil, nil, dacl, nil)
}

func restarts() (out []mgr.RecoveryAction) {
	for _, d := range packaging.RestartDelays() {
		out = append(out, mgr.RecoveryAction{Type: mgr.ServiceRestart, Delay: d})
	}
	return out
}

func setSID(s *mgr.Service, kind uint32) error {
	return windows.ChangeServiceConfig2(s.Handle, windows.SERVICE_CONFIG_SERVICE_SID_INFO, (*byte)(unsafe.Pointer(&kind)))
}

func open(name string) (s *mgr.Service, done func(), err error) {
	m, err := mgr.Connect()
	if err != nil {
		return nil, nil, fmt.Errorf("reach the service manager: %w", err)
	}
	if s, err = m.OpenService(name); err != nil {
		m.Disconnect()
		return nil, nil, fmt.Errorf("open the service %s: %w", name, err)
	}
	return s, func() {
		s.Close()
		m.Disconnect()
	}, nil
}

// stopWithin is how long a service has to end.
const stopWithin = 30 * time.Second

func start(name string) error {
	s, done, err := open(name)
	if err != nil {
		return err
	}
	defer done()
	if err := s.Start(); err != nil && !errors.Is(err, windows.ERROR_SERVICE_ALREADY_RUNNING) {
		return fmt.Errorf("start the service %s: %w", name, err)
	}
	return nil
}

func stop(name string) error {
	s, done, err := open(name)
	if err != nil {
		return err
	}
	defer done()
	st, err := s.Control(svc.Stop)
	if errors.Is(err, windows.ERROR_SERVICE_NOT_ACTIVE) {
		return nil
	}
	for end := time.Now().Add(stopWithin); err == nil && st.State != svc.Stopped; st, err = s.Query() {
		if time.Now().After(end) {
			return fmt.Errorf("stop the service %s: it has not ended after %v", name, stopWithin)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil {
		return fmt.Errorf("stop the service %s: %w", name, err)
	}
	return nil
}

func (p Plan) remove(u unit) error {
	s, err := u.service(p.Dir)
	if err != nil {
		return err
	}
	if _, err := s.Status(); errors.Is(err, service.ErrNotInstalled) {
		return nil
	}
	p.Say("stop and remove " + u.name)
	if err := stop(u.name); err != nil {
		return err
	}
	if err := s.Uninstall(); err != nil {
		return fmt.Errorf("remove the service %s: %w", u.name, err)
	}
	return nil
}

func addTray(program string) error {
	k, _, err := registry.CreateKey(registry.LOCAL_MACHINE, runKey, registry.SET_VALUE|registry.WOW64_64KEY)
	if err != nil {
		return fmt.Errorf("start the tray at logon: %w", err)
	}
	defer k.Close()
	if err := k.SetStringValue(packaging.AgentService, `"`+program+`"`); err != nil {
		return fmt.Errorf("start the tray at logon: %w", err)
	}
	return nil
}

func removeTray() error {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, runKey, registry.SET_VALUE|registry.WOW64_64KEY)
	if err == nil {
		defer k.Close()
		err = k.DeleteValue(packaging.AgentService)
	}
	if err != nil && !errors.Is(err, registry.ErrNotExist) {
		return fmt.Errorf("the tray at logon: %w", err)
	}
	return nil
}
