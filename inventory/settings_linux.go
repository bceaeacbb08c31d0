package inventory

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// askManager is how long the service manager has for all of its answers: long, because nobody waits for them, and a busy machine
// must not be told from one where a unit is gone.
const askManager = time.Minute

// The settings that are looked at: each would weaken the service if it were changed. First
// those of a unit, then of a socket, then of a service.
var settingNames = []string{"LoadState", "UnitFileState", "FragmentPath", "DropInPaths", "RefuseManualStart",
	"RefuseManualStop", "StartLimitIntervalUSec", "StartLimitBurst", "StartLimitAction", "FailureAction", "SuccessAction",
	"Conflicts", "BindsTo", "PartOf",
	"Listen", "SocketMode", "SocketUser", "SocketGroup", "TriggerLimitIntervalUSec",
	"Type", "NotifyAccess", "Restart", "RestartUSec", "RestartPreventExitStatus",
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
func (p Place) settings(ctx context.Context, s State) (files []string) {
	if p.Manager == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askManager)
	defer cancel()
	answers := map[string]map[string]string{}
	for _, unit := range p.Units {
		a, err := ask(ctx, p.Manager, unit)
		if err != nil {
			s.add(Managed, unreadable)
			return nil
		}
		answers[unit] = a
	}
	s.add(Managed, "answers")
	for unit, a := range answers {
		for name, value := range a {
			s.add(unit+" "+name, word(value))
		}
		for _, path := range append(strings.Fields(a["DropInPaths"]), a["FragmentPath"]) {
			if path != "" {
				files = append(files, real(path))
			}
		}
	}
	return files
}

// ask has systemctl print the settings of one unit. As root it speaks to the service manager itself, without a bus.
func ask(ctx context.Context, systemctl, unit string) (map[string]string, error) {
	cmd := exec.CommandContext(ctx, systemctl, "show", "--no-pager", "--property="+strings.Join(settingNames, ","), "--", unit)
	var out bytes.Buffer
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.WaitDelay = []string{}, "/", &out, time.Second
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("ask for the settings of %s: %w", unit, err)
	}
	return parseSettings(out.String())
}

// parseSettings reads lines of name=value. A name that comes again has another value.
func parseSettings(text string) (map[string]string, error) {
	all := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if !ok || !slices.Contains(settingNames, name) {
			return nil, fmt.Errorf("read settings: %q", line)
		}
		if value = plain(name, value); all[name] != "" {
			value = all[name] + "; " + value
		}
		all[name] = value
	}
	if all["LoadState"] == "" {
		return nil, fmt.Errorf("read settings: no LoadState")
	}
	return all, nil
}

// plain leaves out of a command when it ran last and how that ended, and puts it as in the unit.
func plain(name, value string) string {
	switch {
	case value == "[not set]":
		return "not-set"
	case name == "WatchdogUSec" && (value == "infinity" || value == "0"): // before the unit was started, and afterwards
		return "0"
	case name == "WatchdogUSec": // how long is in the unit's file; the agent asks for more where nothing is due
		return "set"
	}
	if !strings.HasPrefix(name, "Exec") || !strings.HasPrefix(value, "{") {
		return value
	}
	value, _, _ = strings.Cut(value, " ; start_time=")
	path, rest, _ := strings.Cut(strings.TrimPrefix(value, "{ path="), " ; argv[]=")
	args, flags, _ := strings.Cut(rest, " ; ignore_errors=")
	if name, _, _ := strings.Cut(args, " "); name == path {
		path = args
	} else {
		path += " as " + args
	}
	if flags != "no" {
		path += " ignored " + flags
	}
	return path
}
