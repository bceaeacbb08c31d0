package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"

	"stepaway/packaging"
	"stepaway/trusted"
)

// services is where the service manager keeps what it knows. What it does when a service fails is read there.
const services = `SYSTEM\CurrentControlSet\Services\`

func agentService(context.Context, *Machine) []Finding {
	return service(packaging.AgentService, "LocalSystem")
}

func courierService(context.Context, *Machine) []Finding {
	return service(packaging.CourierService, packaging.CourierUser)
}

func service(name, account string) []Finding {
	state, err := stateOf(name)
	switch {
	case errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST):
		return []Finding{fail("install the package, or run: stepaway-agent install", "there is no service %s", name)}
	case err != nil:
		return []Finding{warn("run doctor as "+asWho, "the service %s cannot be asked: %v", name, err)}
	}
	var fs []Finding
	if state != svc.Running && state != svc.StartPending {
		fs = append(fs, fail("sc start "+name+"; then see the event log, source "+packaging.EventSource, "the service %s does not run", name))
	}
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, services+name, registry.QUERY_VALUE)
	if err != nil {
		return append(fs, warn("run doctor as "+asWho, "the settings of the service %s cannot be read: %v", name, err))
	}
	defer k.Close()
	fs = append(fs, settings(k, name, account)...)
	if len(fs) == 0 {
		fs = append(fs, ok("%s runs, starts with Windows, and is started again when it ends", name))
	}
	return fs
}

// settings judges what the service manager would do.
func settings(k registry.Key, name, account string) (fs []Finding) {
	const again = "run: stepaway-agent install"
	if start, _, err := k.GetIntegerValue("Start"); err != nil || start != mgr.StartAutomatic {
		fs = append(fs, fail("sc config "+name+" start= auto", "%s does not start with Windows", name))
	}
	if late, _, err := k.GetIntegerValue("DelayedAutoStart"); err == nil && late != 0 {
		fs = append(fs, warn("sc config "+name+" start= auto", "%s starts minutes after Windows", name))
	}
	if who, _, err := k.GetStringValue("ObjectName"); err != nil || !strings.EqualFold(who, account) {
		fs = append(fs, fail(again, "%s runs as %q and not as %s", name, who, account))
	}
	if actions, _, err := k.GetBinaryValue("FailureActions"); err != nil || !bytes.Equal(actions, packaging.FailureActions()) {
		fs = append(fs, fail(again, "%s is not started again for ever when it fails", name))
	}
	if flag, _, err := k.GetIntegerValue("FailureActionsOnNonCrashFailures"); err != nil || flag == 0 {
		fs = append(fs, warn(again, "%s is not started again when it ends with an error", name))
	}
	return fs
}

func stateOf(name string) (svc.State, error) {
	s, done, err := query(name)
	if err != nil {
		return 0, err
	}
	defer done()
	st, err := s.Query()
	return st.State, err
}

// query opens a service with no more right than everybody has.
func query(name string) (*mgr.Service, func(), error) {
	h, err := windows.OpenSCManager(nil, nil, windows.SC_MANAGER_CONNECT)
	if err != nil {
		return nil, nil, fmt.Errorf("reach the service manager: %w", err)
	}
	text, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return nil, nil, err
	}
	one, err := windows.OpenService(h, text, windows.SERVICE_QUERY_STATUS)
	if err != nil {
		_ = windows.CloseServiceHandle(h)
		return nil, nil, err
	}
	return &mgr.Service{Name: name, Handle: one}, func() {
		_ = windows.CloseServiceHandle(one)
		_ = windows.CloseServiceHandle(h)
	}, nil
}

func servicePrograms(context.Context, *Machine) []Finding {
	var fs []Finding
	for _, name := range []string{packaging.AgentService, packaging.CourierService} {
		k, err := registry.OpenKey(registry.LOCAL_MACHINE, services+name, registry.QUERY_VALUE)
		if err != nil {
			continue // said by the service's own check
		}
		image, _, err := k.GetStringValue("ImagePath")
		k.Close()
		if err != nil {
			fs = append(fs, fail("run: stepaway-agent install", "%s has no program: %v", name, err))
			continue
		}
		fs = append(fs, program(name, image))
	}
	return fs
}

// program judges the command line of a service.
func program(name, image string) Finding {
	path, quoted := firstOf(image)
	if !quoted && strings.Contains(image, " ") && !strings.HasSuffix(path, ".exe") {
		return fail("uninstall and install again", "%s: the path of its program is not quoted: %s", name, image)
	}
	if err := trusted.Dirs(filepath.Dir(path), 0); err != nil {
		return fail("put the programs below Program Files", "%s: others can replace its program: %v", name, err)
	}
	return ok("%s: %s", name, path)
}

// firstOf is the program of a command line.
func firstOf(line string) (path string, quoted bool) {
	if rest, is := strings.CutPrefix(line, `"`); is {
		path, _, _ = strings.Cut(rest, `"`)
		return path, true
	}
	path, _, _ = strings.Cut(line, " ")
	return path, false
}
