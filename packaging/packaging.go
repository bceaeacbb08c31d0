// Package packaging holds the texts that a package puts on a machine, so that `stepaway-agent install` puts the same.
package packaging

import _ "embed"

// LinkUnit, AgentUnit and CourierUnit are the systemd units.
var (
	//go:embed systemd/stepaway.socket
	LinkUnit string
	//go:embed systemd/stepaway.service
	AgentUnit string
	//go:embed systemd/stepaway-courier.service
	CourierUnit string
)

// Account is the courier's account for systemd-sysusers.
//
//go:embed sysusers.d/stepaway.conf
var Account string

// TrayEntry starts the tray at logon on every desktop that reads XDG autostart.
//
//go:embed xdg/stepaway-tray.desktop
var TrayEntry string
