package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc/eventlog"
	"golang.org/x/sys/windows/svc/mgr"

	"stepaway/cmdline"
	"stepaway/doctor"
	"stepaway/link"
	"stepaway/packaging"
)

// selftest is one run of the checklist of docs/windows.md.
type selftest struct {
	paths paths
	found []doctor.Finding
}

func runSelftest(ctx context.Context, args []string) error {
	f := flags("selftest", "Tries what this installation should do on this machine, and prints a report. Needs "+whoGuardsAll+
		". Without --hands it takes seconds and changes nothing but a line in the event log. Exits 1 if something fails.")
	hands := f.Bool("hands", false, "with a person's hands: asks for some steps at this workstation, and sets a short limit meanwhile; ten minutes")
	asJSON := f.Bool("json", false, "print JSON")
	if _, err := cmdline.Parse(f, args); err != nil {
		return err
	}
	if !privileged() {
		return errors.New("selftest needs " + whoGuardsAll)
	}
	t := &selftest{paths: systemPaths("", "")}
	t.look(ctx)
	if *hands {
		if err := t.hands(ctx); err != nil {
			return err
		}
	}
	err := t.report(*asJSON)
	if err == nil && doctor.Failed(t.found) {
		err = errFails
	}
	return err
}

func (t *selftest) report(asJSON bool) error {
	if asJSON {
		return printJSON(map[string]any{"at": time.Now().Format(time.RFC3339), "findings": t.found, "failed": doctor.Failed(t.found)})
	}
	fmt.Printf("stepaway-agent %s, selftest of %s\n\n", cmdline.Version(version), time.Now().Format(time.DateTime))
	return printFindings(t.found)
}

// say notes what came of one step.
func (t *selftest) say(id string, v doctor.Verdict, saw string, a ...any) {
	t.found = append(t.found, doctor.Finding{ID: id, Verdict: v, Saw: fmt.Sprintf(saw, a...)})
}

// is notes whether a step came out as it should.
func (t *selftest) is(id string, err error, saw string, a ...any) {
	if err != nil {
		t.say(id, doctor.Fail, "%v", err)
		return
	}
	t.say(id, doctor.OK, saw, a...)
}

// look makes the steps that need nobody.
func (t *selftest) look(ctx context.Context) {
	v := windows.RtlGetVersion()
	t.say("windows", doctor.Note, "Windows %d.%d.%d", v.MajorVersion, v.MinorVersion, v.BuildNumber)
	t.is("agent.process", t.process(packaging.AgentService, "S-1-5-18", false), "runs in session 0 as the system's account")
	t.is("courier.process", t.process(packaging.CourierService, packaging.ServiceSID(packaging.CourierService), true),
		"runs in session 0 under its own account, with a restricted token")
	for _, name := range []string{packaging.AgentService, packaging.CourierService} {
		t.is("service.permissions", servicePermissions(name), "%s: users may ask, administrators may all", name)
	}
	t.is("pipe.permissions", pipePermissions(t.paths.socket), "as they should be")
	t.is("eventlog", eventIsKept(ctx), "an entry was written and found again")
	if m, err := machine(t.paths); err != nil {
		t.say("doctor", doctor.Fail, "%v", err)
	} else {
		t.found = append(t.found, doctor.Diagnose(ctx, m)...)
	}
}

// process looks at the process of a service: session, account, and whether it may write only what is its own.
func (t *selftest) process(service, account string, restricted bool) error {
	pid, err := pidOf(service)
	if err != nil {
		return err
	}
	var session uint32
	if err := windows.ProcessIdToSessionId(pid, &session); err != nil {
		return fmt.Errorf("ask for the session of %s: %w", service, err)
	}
	if session != 0 {
		return fmt.Errorf("%s runs in session %d, not in that of services", service, session)
	}
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, pid)
	if err != nil {
		return fmt.Errorf("open the process of %s: %w", service, err)
	}
	defer windows.CloseHandle(h)
	var token windows.Token
	if err := windows.OpenProcessToken(h, windows.TOKEN_QUERY, &token); err != nil {
		return fmt.Errorf("ask for the rights of %s: %w", service, err)
	}
	defer token.Close()
	u, err := token.GetTokenUser()
	if err != nil {
		return fmt.Errorf("ask for the account of %s: %w", service, err)
	}
	if is := u.User.Sid.String(); is != account {
		return fmt.Errorf("%s runs as %s, not as %s", service, is, account)
	}
	if limited, err := token.IsRestricted(); err != nil || limited != restricted {
		return fmt.Errorf("%s: restricted token: %v, should be %v (%v)", service, limited, restricted, err)
	}
	return nil
}

func pidOf(service string) (uint32, error) {
	m, err := mgr.Connect()
	if err != nil {
		return 0, fmt.Errorf("reach the service manager: %w", err)
	}
	defer m.Disconnect()
	s, err := m.OpenService(service)
	if err != nil {
		return 0, fmt.Errorf("open the service %s: %w", service, err)
	}
	defer s.Close()
	st, err := s.Query()
	if err == nil && st.ProcessId == 0 {
		err = errors.New("it does not run")
	}
	if err != nil {
		return 0, fmt.Errorf("ask for the service %s: %w", service, err)
	}
	return st.ProcessId, nil
}

func servicePermissions(name string) error {
	m, err := mgr.Connect()
	if err != nil {
		return fmt.Errorf("reach the service manager: %w", err)
	}
	defer m.Disconnect()
	s, err := m.OpenService(name)
	if err != nil {
		return fmt.Errorf("open the service %s: %w", name, err)
	}
	defer s.Close()
	sd, err := windows.GetSecurityInfo(s.Handle, windows.SE_SERVICE, windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return fmt.Errorf("read the permissions of the service %s: %w", name, err)
	}
	return same(sd, packaging.ServiceSDDL, windows.DACL_SECURITY_INFORMATION)
}

func pipePermissions(pipe string) error {
	name, err := windows.UTF16PtrFromString(pipe)
	if err != nil {
		return err
	}
	h, err := windows.CreateFile(name, windows.READ_CONTROL, 0, nil, windows.OPEN_EXISTING,
		windows.SECURITY_SQOS_PRESENT|windows.SECURITY_IDENTIFICATION, 0)
	if err != nil {
		return fmt.Errorf("open the pipe: %w", err)
	}
	defer windows.CloseHandle(h)
	const what = windows.OWNER_SECURITY_INFORMATION | windows.DACL_SECURITY_INFORMATION
	sd, err := windows.GetSecurityInfo(h, windows.SE_KERNEL_OBJECT, what)
	if err != nil {
		return fmt.Errorf("read the permissions of the pipe: %w", err)
	}
	return same(sd, packaging.LinkSDDL(), what)
}

// same compares the permissions that are there with those of a text, both as this Windows writes them.
func same(is *windows.SECURITY_DESCRIPTOR, text string, what windows.SECURITY_INFORMATION) error {
	want, err := windows.SecurityDescriptorFromString(text)
	if err != nil {
		return fmt.Errorf("read %s: %w", text, err)
	}
	if a, b := entries(is), entries(want); a != b {
		return fmt.Errorf("permissions are %s, and should be %s", a, b)
	}
	if what&windows.OWNER_SECURITY_INFORMATION == 0 {
		return nil
	}
	a, _, err := is.Owner()
	if err != nil {
		return err
	}
	if b, _, err := want.Owner(); err != nil || !a.Equals(b) {
		return fmt.Errorf("it belongs to %s, and should to %s (%v)", a, b, err)
	}
	return nil
}

func entries(sd *windows.SECURITY_DESCRIPTOR) string {
	_, list, _ := strings.Cut(sd.String(), "D:")
	_, list, _ = strings.Cut(list, "(")
	return list
}

// eventIsKept writes an entry and looks for it with Windows' own program.
func eventIsKept(ctx context.Context) error {
	l, err := eventlog.Open(packaging.EventSource)
	if err != nil {
		return fmt.Errorf("open the event log: %w", err)
	}
	defer l.Close()
	mark := fmt.Sprintf("selftest %d", time.Now().UnixNano())
	if err := l.Info(1, mark); err != nil {
		return fmt.Errorf("write to the event log: %w", err)
	}
	system, err := windows.GetSystemDirectory()
	if err != nil {
		return fmt.Errorf("find wevtutil: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 8*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		out, err := exec.CommandContext(ctx, filepath.Join(system, "wevtutil.exe"), "qe", "Application", "/c:20", "/rd:true", "/f:text",
			"/q:*[System[Provider[@Name='"+packaging.EventSource+"']]]").Output()
		if err != nil {
			return fmt.Errorf("read the event log with wevtutil: %w", err)
		}
		if strings.Contains(string(out), mark) {
			return nil
		}
		time.Sleep(time.Second)
	}
	return errors.New("what was written to the event log is not found there")
}

// own is the status of the session that this program is in.
func (t *selftest) own() (link.SessionStatus, link.Status, error) {
	st, err := askStatus(t.paths.socket)
	if err != nil {
		return link.SessionStatus{}, st, err
	}
	var id uint32
	if err := windows.ProcessIdToSessionId(uint32(os.Getpid()), &id); err != nil {
		return link.SessionStatus{}, st, fmt.Errorf("ask for the own session: %w", err)
	}
	for _, s := range st.Sessions {
		if s.ID == fmt.Sprint(id) {
			return s, st, nil
		}
	}
	return link.SessionStatus{}, st, fmt.Errorf("the agent does not know of session %d", id)
}
