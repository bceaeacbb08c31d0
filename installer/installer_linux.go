package installer

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/kardianos/service"

	"stepaway/packaging"
)

const (
	units     = "/etc/systemd/system"
	autostart = "/etc/xdg/autostart/stepaway-tray.desktop"
	packaged  = "/usr/bin" // where the texts of a package expect the programs
)

// linkUnit is the socket unit, which package service does not know.
const linkUnit = "stepaway.socket"

// services are the units in the order in which they are started, after the socket.
var services = []struct{ name, text string }{
	{"stepaway", packaging.AgentUnit},
	{"stepaway-courier", packaging.CourierUnit},
}

// Install makes the courier's account, writes the units and the tray's autostart entry and starts the services.
func (p Plan) Install() error {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return errors.New("this machine is not run by systemd; start `stepaway-agent run` and `stepaway-courier run` by its own service manager")
	}
	if err := p.account(); err != nil {
		return err
	}
	if err := p.addLink(); err != nil {
		return err
	}
	for _, s := range services {
		if err := p.add(s.name, s.text); err != nil {
			return err
		}
	}
	if err := p.write(autostart, packaging.TrayEntry); err != nil {
		return err
	}
	if err := startLink(); err != nil {
		return err
	}
	for _, s := range services {
		p.Say("start " + s.name)
		if err := systemctl("restart", s.name); err != nil {
			return err
		}
	}
	return nil
}

// Uninstall stops and removes what Install registered.
func (p Plan) Uninstall() error {
	if err := p.removeLink(); err != nil { // first: it would start the agent again
		return err
	}
	for i := len(services) - 1; i >= 0; i-- {
		name := services[i].name
		if _, err := os.Stat(filepath.Join(units, name+".service")); errors.Is(err, os.ErrNotExist) {
			continue
		}
		p.Say("stop and remove " + name)
		if err := systemctl("stop", name); err != nil {
			return err
		}
		s, err := p.service(name, "")
		if err == nil {
			err = s.Uninstall()
		}
		if err != nil {
			return fmt.Errorf("remove the service %s: %w", name, err)
		}
	}
	if err := os.Remove(autostart); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the tray's entry: %w", err)
	}
	p.Say("kept: /etc/stepaway and /var/lib/stepaway with policy, identity and records not yet delivered")
	return nil
}

func (p Plan) add(name, text string) error {
	if _, err := os.Stat(filepath.Join(units, name+".service")); err == nil {
		p.Say("already there: " + name)
		return nil
	}
	p.Say("register " + name)
	s, err := p.service(name, p.placed(text))
	if err == nil {
		err = s.Install()
	}
	if err != nil {
		return fmt.Errorf("register the service %s: %w", name, err)
	}
	return nil
}

// addLink registers the socket of the link.
func (p Plan) addLink() error {
	path := filepath.Join(units, linkUnit)
	if _, err := os.Stat(path); err == nil {
		p.Say("already there: " + linkUnit)
		return nil
	}
	if err := p.write(path, packaging.LinkUnit); err != nil {
		return err
	}
	if err := systemctl("daemon-reload"); err != nil {
		return err
	}
	return systemctl("enable", linkUnit)
}

// startLink makes the socket. An agent that made its own has to make way for that.
func startLink() error {
	if systemctl("is-active", linkUnit) == nil {
		return nil
	}
	if err := systemctl("stop", services[0].name); err != nil {
		return err
	}
	return systemctl("start", linkUnit)
}

// removeLink stops the socket and takes its unit off.
func (p Plan) removeLink() error {
	path := filepath.Join(units, linkUnit)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	p.Say("stop and remove " + linkUnit)
	if err := systemctl("disable", "--now", linkUnit); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove %s: %w", linkUnit, err)
	}
	return nil
}

func (p Plan) service(name, text string) (service.Service, error) {
	return service.New(nil, &service.Config{Name: name, Option: service.KeyValue{"SystemdScript": text}})
}

// placed is a text with the programs where they really are.
func (p Plan) placed(text string) string {
	return strings.ReplaceAll(text, packaged+"/stepaway-", p.Dir+"/stepaway-")
}

// account makes the courier's account from its description.
func (p Plan) account() error {
	p.Say("make the courier's account")
	cmd := exec.Command("systemd-sysusers", "-")
	cmd.Stdin = strings.NewReader(packaging.Account)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make the courier's account: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

func (p Plan) write(path, text string) error {
	p.Say("write " + path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.WriteFile(path, []byte(p.placed(text)), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func systemctl(args ...string) error {
	if out, err := exec.Command("systemctl", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
