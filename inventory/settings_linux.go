package inventory

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	systemd    = "org.freedesktop.systemd1"
	askManager = 5 * time.Second // for all of it
)

// The settings that are looked at: each would weaken the service if it were changed. Those of a unit:
var unitSettings = []string{"LoadState", "UnitFileState", "FragmentPath", "DropInPaths", "RefuseManualStart",
	"RefuseManualStop", "StartLimitIntervalUSec", "StartLimitBurst", "StartLimitAction", "FailureAction", "SuccessAction",
	"Conflicts", "BindsTo", "PartOf"}

// and those of a service.
var serviceSettings = []string{"Type", "NotifyAccess", "Restart", "RestartUSec", "RestartPreventExitStatus",
	"SuccessExitStatus", "WatchdogUSec", "WatchdogSignal", "RuntimeMaxUSec", "TimeoutAbortUSec", "TimeoutStopUSec", "KillMode", "SendSIGKILL",
	"OOMPolicy", "OOMScoreAdjust", "ExecCondition", "ExecStartPre", "ExecStart", "ExecStartPost", "ExecStop",
	"ExecStopPost", "ExecReload", "User", "Group", "SupplementaryGroups", "DynamicUser", "Environment",
	"EnvironmentFiles", "UnsetEnvironment", "PassEnvironment", "RootDirectory", "RootImage", "WorkingDirectory",
	"StandardOutput", "StandardError", "UMask",
	"Nice", "CPUSchedulingPolicy", "CPUQuotaPerSecUSec", "CPUWeight", "MemoryMax", "MemoryHigh", "Slice", "Delegate",
	"RuntimeDirectory", "RuntimeDirectoryPreserve", "RuntimeDirectoryMode", "StateDirectory", "StateDirectoryMode",
	"NoNewPrivileges", "CapabilityBoundingSet", "AmbientCapabilities", "ProtectSystem", "ProtectHome", "ProtectProc",
	"ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs", "ProtectControlGroups", "ProtectClock",
	"ProtectHostname", "PrivateTmp", "PrivateDevices", "PrivateUsers", "PrivateNetwork", "RestrictNamespaces",
	"RestrictAddressFamilies", "RestrictRealtime", "LockPersonality", "MemoryDenyWriteExecute", "SystemCallFilter",
	"SystemCallArchitectures", "DevicePolicy", "DeviceAllow", "ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths",
	"BindPaths", "BindReadOnlyPaths", "IPAddressDeny"}

// settings adds what the service manager has in force for the units, and returns the unit files that it has read.
func (p Place) settings(ctx context.Context, s State) []string {
	if p.Manager == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askManager)
	defer cancel()
	conn, err := dial(ctx, p.Manager)
	if err != nil {
		s.add(Managed, unreadable)
		return nil
	}
	defer conn.Close()
	found := State{Items: map[string]string{}}
	var files []string
	for _, unit := range p.Units {
		more, err := unitInForce(ctx, conn, unit, found)
		if err != nil {
			s.add(Managed, unreadable)
			return nil
		}
		files = append(files, more...)
	}
	s.add(Managed, "answers")
	for name, value := range found.Items {
		s.add(name, value)
	}
	return files
}

// dial speaks to the service manager itself, which only root may, so that no bus is needed.
func dial(ctx context.Context, socket string) (*dbus.Conn, error) {
	var d net.Dialer
	sock, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	_ = sock.SetDeadline(deadline)
	conn, err := dbus.NewConn(sock)
	if err != nil {
		sock.Close()
		return nil, err
	}
	if err := conn.Auth(nil); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// unitInForce adds the settings of one unit and returns the files that they come from.
func unitInForce(ctx context.Context, conn *dbus.Conn, unit string, s State) ([]string, error) {
	var path dbus.ObjectPath
	err := conn.Object(systemd, "/org/freedesktop/systemd1").CallWithContext(ctx, systemd+".Manager.LoadUnit", 0, unit).Store(&path)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", unit, err)
	}
	var files []string
	for kind, names := range map[string][]string{"Unit": unitSettings, "Service": serviceSettings} {
		var all map[string]dbus.Variant
		err := conn.Object(systemd, path).CallWithContext(ctx, "org.freedesktop.DBus.Properties.GetAll", 0, systemd+"."+kind).Store(&all)
		if err != nil {
			return nil, fmt.Errorf("read the settings of %s: %w", unit, err)
		}
		for _, name := range names {
			if v, there := all[name]; there {
				s.add(unit+" "+name, value(name, v.Value()))
			}
		}
		if one, _ := all["FragmentPath"].Value().(string); one != "" {
			files = append(files, real(one))
		}
		more, _ := all["DropInPaths"].Value().([]string)
		for _, one := range more {
			files = append(files, real(one))
		}
	}
	return files, nil
}

// value is a setting as a word or a hash. What differs from one start to the next is left out.
func value(name string, v any) string {
	switch v := v.(type) {
	case string:
		return word(v)
	case bool, int32, uint32, int64, byte:
		return fmt.Sprint(v)
	case uint64:
		if v == 1<<64-1 {
			return "infinity"
		}
		return fmt.Sprint(v)
	case []string:
		if !slices.Contains(ordered, name) {
			v = slices.Sorted(slices.Values(v))
		}
		return word(strings.Join(v, " "))
	case [][]any:
		if strings.HasPrefix(name, "Exec") {
			return commands(v)
		}
	}
	return hash(fmt.Appendf(nil, "%v", v))
}

// ordered are the lists whose order counts.
var ordered = []string{"DropInPaths", "Environment"}

// commands are the program and the arguments of each line, without when it ran last and how it ended.
func commands(lines [][]any) string {
	var out []string
	for _, l := range lines {
		if len(l) < 3 {
			return unreadable
		}
		path, _ := l[0].(string)
		args, _ := l[1].([]string)
		text := path
		if len(args) > 1 {
			text += " " + strings.Join(args[1:], " ")
		}
		if ignored, _ := l[2].(bool); ignored {
			text = "ignored: " + text
		}
		out = append(out, text)
	}
	return word(strings.Join(out, "; "))
}
