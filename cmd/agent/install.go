package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"stepaway/cmdline"
	"stepaway/installer"
)

func install(_ context.Context, args []string) error {
	return registered(args, "install", "Registers the services and the tray on this machine, and starts them. Needs "+whoGuardsAll+".", installer.Plan.Install)
}

func uninstall(_ context.Context, args []string) error {
	return registered(args, "uninstall", "Stops the services and takes them off this machine; policy, identity and undelivered records stay. Needs "+whoGuardsAll+".",
		installer.Plan.Uninstall)
}

func registered(args []string, name, about string, do func(installer.Plan) error) error {
	if _, err := cmdline.Parse(flags(name, about), args); err != nil {
		return err
	}
	if !privileged() {
		return errors.New(name + " needs " + whoGuardsAll)
	}
	self, err := beside("")
	if err != nil {
		return err
	}
	return do(installer.Plan{Dir: filepath.Clean(self), Say: func(line string) { fmt.Println(line) }})
}
