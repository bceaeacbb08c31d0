package wine

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stepaway/doctor"
	"stepaway/link"
	"stepaway/packaging"
	"stepaway/test/rig"
)

const (
	programs = `C:\Program Files\Stepaway\`
	agent    = programs + "stepaway-agent.exe"
	courier  = programs + "stepaway-courier.exe"
)

// workstation is a Windows with the programs of this module, and somebody logged on: services end with the last program
// of a user in Wine.
func workstation(t *testing.T) *Windows {
	t.Helper()
	return stocked(t, New(t))
}

// stocked puts programs and somebody into a Windows.
func stocked(t *testing.T, w *Windows) *Windows {
	t.Helper()
	dir := w.C("Program Files/Stepaway")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"agent", "courier", "tray"} {
		if err := os.Rename(Build(t, "stepaway/cmd/"+p), filepath.Join(dir, "stepaway-"+p+".exe")); err != nil {
			t.Fatal(err)
		}
	}
	rig.Start(t, w.Command(t.Context(), "notepad"))
	return w
}

// state is what the service manager says of a service: RUNNING, STOPPED, or "" where there is none.
func (w *Windows) state(t *testing.T, service string) string {
	t.Helper()
	r, err := w.Run(t.Context(), "sc", "query", service)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(r.Stdout) {
		if _, state, found := strings.Cut(line, "STATE"); found {
			fields := strings.Fields(state)
			return fields[len(fields)-1]
		}
	}
	return ""
}

func (w *Windows) becomes(t *testing.T, service, state string) {
	t.Helper()
	rig.WaitFor(t, service+" "+state, func() bool { return w.state(t, service) == state })
}

// status is what the agent says of its sessions; false if none answers.
func (w *Windows) status(t *testing.T) (st link.Status, ok bool) {
	t.Helper()
	r, err := w.Run(t.Context(), agent, "status", "--json")
	if err != nil {
		t.Fatal(err)
	}
	return st, r.Code == 0 && json.Unmarshal([]byte(r.Stdout), &st) == nil
}

// shows waits for a state of the one session.
func (w *Windows) shows(t *testing.T, what string, cond func(link.SessionStatus, link.Status) bool) {
	t.Helper()
	rig.WaitFor(t, what, func() bool {
		st, ok := w.status(t)
		return ok && len(st.Sessions) == 1 && cond(st.Sessions[0], st)
	})
}

// happened are the types of the events that the courier has, oldest first.
func (w *Windows) happened(t *testing.T) (types []string) {
	t.Helper()
	r, err := w.Run(t.Context(), courier, "audit", "export", "--format", "json")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(r.Stdout) {
		var ev struct{ Type string }
		if err := json.Unmarshal([]byte(line), &ev); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		types = append(types, ev.Type)
	}
	return types
}

// count waits until at least so many events of a type are there.
func (w *Windows) count(t *testing.T, typ string, n int) {
	t.Helper()
	rig.WaitFor(t, typ, func() bool {
		got := 0
		for _, is := range w.happened(t) {
			if is == typ {
				got++
			}
		}
		return got >= n
	})
}

func (w *Windows) value(t *testing.T, key, name string) string {
	t.Helper()
	r, err := w.Run(t.Context(), "reg", "query", key, "/v", name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(r.Stdout) {
		if fields := strings.SplitN(strings.TrimSpace(line), "    ", 3); len(fields) == 3 && fields[0] == name {
			return fields[2]
		}
	}
	return ""
}

// TestServices: installed, started, stopped, started again, crashed and taken off by the real service manager of Wine.
func TestServices(t *testing.T) {
	t.Parallel()
	w := workstation(t)
	w.Must(t, agent, "install")
	w.becomes(t, packaging.AgentService, "RUNNING")
	w.becomes(t, packaging.CourierService, "RUNNING")
	const services = `HKLM\System\CurrentControlSet\Services\`
	for _, v := range []struct{ key, name, want string }{
		{services + packaging.AgentService, "ImagePath", `"` + agent + `" ` + packaging.ServiceVerb},
		{services + packaging.AgentService, "ObjectName", "LocalSystem"},
		{services + packaging.CourierService, "ImagePath", `"` + courier + `" ` + packaging.ServiceVerb},
		{services + packaging.CourierService, "ObjectName", packaging.CourierUser},
		{`HKLM\Software\Microsoft\Windows\CurrentVersion\Run`, packaging.AgentService, `"` + programs + `stepaway-tray.exe"`},
		{services + `EventLog\Application\` + packaging.EventSource, "EventMessageFile", `%SystemRoot%\System32\EventCreate.exe`},
	} {
		if got := w.value(t, v.key, v.name); got != v.want {
			t.Errorf(`%s\%s is %q, want %q`, v.key, v.name, got, v.want)
		}
	}
	w.Must(t, agent, "install") // again: nothing breaks
	w.shows(t, "a session whose input is read, and the courier", func(s link.SessionStatus, st link.Status) bool {
		return s.Readable && s.State.LimitMS == (15*time.Minute).Milliseconds() && st.Courier != nil
	})

	policy := w.C("ProgramData/Stepaway/policy.yaml")
	if err := os.WriteFile(policy, []byte("limit: 4m\nwarning: 1m\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	w.shows(t, "the policy of the file", func(s link.SessionStatus, _ link.Status) bool {
		return s.State.LimitMS == (4 * time.Minute).Milliseconds()
	})
	w.Must(t, "reg", "add", `HKLM\Software\Policies\Stepaway`, "/v", "limit", "/t", "REG_DWORD", "/d", "180", "/f")
	w.shows(t, "the group policy above it", func(s link.SessionStatus, _ link.Status) bool {
		return s.State.LimitMS == (3 * time.Minute).Milliseconds()
	})

	w.drifts(t)
	w.triesItself(t)

	w.Must(t, "net", "stop", packaging.AgentService)
	w.becomes(t, packaging.AgentService, "STOPPED")
	w.count(t, "agent.stop", 1) // while the agent is down: the courier had it before
	if _, ok := w.status(t); ok {
		t.Error("an agent that was stopped answers")
	}
	w.Must(t, "net", "start", packaging.AgentService)
	w.count(t, "agent.start", 2)

	w.Must(t, "taskkill", "/f", "/im", "stepaway-agent.exe")
	w.becomes(t, packaging.AgentService, "STOPPED") // Wine starts nothing again
	w.Must(t, "net", "start", packaging.AgentService)
	w.count(t, "agent.recovered", 1)

	w.Must(t, agent, "uninstall")
	for _, s := range []string{packaging.AgentService, packaging.CourierService} {
		if got := w.state(t, s); got != "" {
			t.Errorf("%s is there, %s", s, got)
		}
	}
	if got := w.value(t, `HKLM\Software\Microsoft\Windows\CurrentVersion\Run`, packaging.AgentService); got != "" {
		t.Errorf("the tray is still started: %s", got)
	}
	if _, err := os.Stat(policy); err != nil {
		t.Error("the policy went with the services:", err)
	}
	w.Must(t, agent, "uninstall") // again: nothing breaks
}

// TestColdStart: a session whose deadline passed while no agent ran is secured as soon as the service starts.
func TestColdStart(t *testing.T) {
	w := workstation(t)
	if err := os.MkdirAll(w.C("ProgramData/Stepaway"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.C("ProgramData/Stepaway/policy.yaml"), []byte("limit: 20s\nwarning: 5s\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	w.Must(t, agent, "install")
	w.shows(t, "a session", func(s link.SessionStatus, st link.Status) bool { return s.Readable && st.Courier != nil })
	w.Must(t, "net", "stop", packaging.AgentService)
	time.Sleep(21 * time.Second) // of the session's own idle time; nothing else passes
	began := time.Now()
	w.Must(t, "sc", "start", packaging.AgentService)
	up, asked := w.after(t, began, "agent.start"), w.after(t, began, "lock.requested")
	t.Log("after the order to start the service: agent up", up.Round(time.Millisecond), "lock requested", asked.Round(time.Millisecond))
}

// after waits for an event of a type later than a time, and gives how much later the first was.
func (w *Windows) after(t *testing.T, began time.Time, typ string) (late time.Duration) {
	t.Helper()
	rig.WaitFor(t, typ, func() bool {
		r, err := w.Run(t.Context(), courier, "audit", "export", "--format", "json")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(r.Stdout) {
			var ev struct {
				Type string
				Wall time.Time
			}
			if err := json.Unmarshal([]byte(line), &ev); err != nil {
				t.Fatalf("%v in %q", err, line)
			}
			if late = ev.Wall.Sub(began); ev.Type == typ && late > 0 {
				return true
			}
		}
		return false
	})
	return late
}

// TestOneSession: an agent of one session starts a courier and a tray, and neither outlives it, even when it is killed.
func TestOneSession(t *testing.T) {
	t.Parallel()
	w := workstation(t)
	cmd := w.Command(t.Context(), agent, "run", "--session", "--state", `C:\state`)
	var log bytes.Buffer
	cmd.Stderr = &log
	rig.Start(t, cmd)
	var st link.Status
	rig.WaitFor(t, "tray and courier", func() bool {
		r, err := w.Run(t.Context(), agent, "status", "--json", "--session", "--state", `C:\state`)
		return err == nil && json.Unmarshal([]byte(r.Stdout), &st) == nil && len(st.Sessions) == 1 && st.Sessions[0].Tray && st.Courier != nil
	})
	if len(st.Limits) == 0 {
		t.Error("nothing is said of what it cannot promise")
	}
	if r, err := w.Run(t.Context(), agent, "run", "--session", "--state", `C:\state`); err != nil || r.Code != 1 || !strings.Contains(r.Stderr, "another agent answers") {
		t.Errorf("a second one: exit %d, %v, %s", r.Code, err, r.Stderr)
	}
	w.Must(t, "taskkill", "/f", "/im", "stepaway-agent.exe")
	rig.WaitFor(t, "the end of all", func() bool { return !strings.Contains(w.Must(t, "tasklist"), "stepaway-") })
}

// TestRoughUser: the service lives on when its user signs out, and gets another tray when the one before is stopped.
func TestRoughUser(t *testing.T) {
	t.Parallel() // it mostly waits
	w := workstation(t)
	rough := Build(t, "stepaway/test/wine/rough")
	w.Must(t, agent, "install")
	var run string
	w.shows(t, "a tray", func(s link.SessionStatus, st link.Status) bool { run = st.Run; return s.Tray && st.Courier != nil })
	w.Must(t, "taskkill", "/f", "/im", "stepaway-tray.exe")
	w.count(t, "tray.lost", 1)
	w.count(t, "tray.restored", 1)
	w.Must(t, rough, "suspend", "stepaway-tray.exe")
	time.Sleep(3 * link.BeatEvery) // until its silence is a loss
	w.count(t, "tray.lost", 2)
	w.count(t, "tray.restored", 2)

	w.Must(t, rough, "signout")
	rig.WaitFor(t, "the end of the user's programs", func() bool { return !strings.Contains(w.Must(t, "tasklist"), "notepad") })
	w.shows(t, "the same agent", func(_ link.SessionStatus, st link.Status) bool { return st.Run == run })
}

// drifts: a setting of the service that somebody changed is seen, and an administrator can approve it.
func (w *Windows) drifts(t *testing.T) {
	t.Helper()
	rig.WaitFor(t, "an approved state", func() bool {
		r, err := w.Run(t.Context(), agent, "state", "show")
		return err == nil && r.Code == 0 && strings.HasSuffix(r.Stdout, "as approved\n")
	})
	w.Must(t, "reg", "add", `HKLM\System\CurrentControlSet\Services\`+packaging.AgentService, "/v", "Start", "/t", "REG_DWORD", "/d", "4", "/f")
	if out := w.Must(t, agent, "state", "show"); !strings.Contains(out, packaging.AgentService+" Start") || !strings.Contains(out, "DIFFERS") {
		t.Errorf("a service that was turned off: %s", out)
	}
	w.Must(t, agent, "state", "approve")
	w.count(t, "state.drifted", 1)
	if out := w.Must(t, agent, "state", "show"); !strings.HasSuffix(out, "as approved\n") {
		t.Errorf("approved, and: %s", out)
	}
}

// triesItself: the report of selftest comes to its end, and finds right what Wine shows of Windows.
func (w *Windows) triesItself(t *testing.T) {
	t.Helper()
	r, err := w.Run(t.Context(), agent, "selftest", "--json")
	if err != nil {
		t.Fatal(err)
	}
	var report struct {
		Failed   bool
		Findings []doctor.Finding
	}
	if err := json.Unmarshal([]byte(r.Stdout), &report); err != nil {
		t.Fatalf("%v in %s%s", err, r.Stdout, r.Stderr)
	}
	seen := map[string]doctor.Verdict{}
	for _, f := range report.Findings {
		seen[f.ID] = f.Verdict
	}
	for _, id := range []string{"pipe.permissions", "link", "session.input", "session.lock", "logon.automatic"} {
		if seen[id] != doctor.OK {
			t.Errorf("%s: %q", id, seen[id])
		}
	}
	if seen["agent.process"] != doctor.Fail || !report.Failed || r.Code != 1 { // Wine has no session 0
		t.Errorf("exit %d, failed %v, process %q", r.Code, report.Failed, seen["agent.process"])
	}
}
