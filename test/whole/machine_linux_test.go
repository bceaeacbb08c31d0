package whole

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/clock"
	"stepaway/link"
	"stepaway/test/rig"
)

const (
	units     = "/usr/lib/systemd/system/"
	policyAt  = "/etc/stepaway/policy.yaml"
	data      = "/srv/collector"
	agent     = "stepaway.service"
	courier   = "stepaway-courier.service"
	socket    = "stepaway.socket"
	promptly  = 2500 * time.Millisecond // from a deadline to the request to lock, on a machine that is busy with tests
	scheduler = 300 * time.Millisecond  // how much earlier than it was written an event may seem
)

// machine is a workstation with Stepaway as its services and a collector on its own loopback.
type machine struct {
	*rig.Container
	t *testing.T
	x xSession

	began time.Time
}

// xSession is the desktop in which xdotool works, or what types in its place where the desktop is no X display.
type xSession struct{ user, display string }

// install boots a machine with everything that docs/install.md puts there, and starts it under the policy.
func install(t *testing.T, policy string) *machine {
	t.Helper()
	return installOn(t, rig.Debian12, policy)
}

// installOn is install for one of the suites.
func installOn(t *testing.T, suite rig.Suite, policy string) *machine {
	t.Helper()
	t.Parallel() // they wait more than they work
	began := time.Now()
	m := &machine{Container: rig.BootSuite(t, suite), t: t, x: xSession{"nurse", rig.Display}, began: began}
	m.step("the machine is up")
	for _, p := range []string{"agent", "courier", "collector", "tray"} {
		m.Copy(filepath.Join(programs(t), "stepaway-"+p), "/usr/bin/stepaway-"+p)
	}
	for _, u := range []string{socket, agent, courier} {
		m.Copy("../../packaging/systemd/"+u, units+u)
	}
	m.Copy("../../packaging/sysusers.d/stepaway.conf", "/usr/lib/sysusers.d/stepaway.conf")
	m.Must("systemd-sysusers")
	m.Must("install", "-d", "-m", "755", "/etc/stepaway")
	m.Must("systemctl", "daemon-reload")
	m.Write(policyAt, policy, 0o644)
	m.collect()
	m.Must("systemctl", "start", agent, courier)
	m.enroll()
	t.Cleanup(m.report)
	m.step("the services are up")
	return m
}

// collect starts the collector.
func (m *machine) collect() {
	m.t.Helper()
	m.Must("stepaway-collector", "init", "--data", data)
	m.Must("systemd-run", "-q", "--unit=collector", "-p", "Type=notify", "stepaway-collector", "serve", "--data", data,
		"--listen", "127.0.0.1:8443")
}

// enroll makes the courier known to the collector, as the courier's own account.
func (m *machine) enroll() {
	m.t.Helper()
	said := strings.Split(m.Must("stepaway-collector", "token", "--data", data, "--url", "https://127.0.0.1:8443", "ward3-pc07"), "\n")
	m.Must("runuser", "-u", "stepaway", "--", "stepaway-courier", "enroll", "--token", said[len(said)-1])
}

// report tells what the collector has and what the services said, if the test failed.
func (m *machine) report() {
	if !m.t.Failed() {
		return
	}
	told, _ := m.Run(context.Background(), "stepaway-collector", "events", "--data", data)
	log, _ := m.Run(context.Background(), "journalctl", "-q", "--no-pager", "-u", agent, "-u", courier, "-n", "100", "-o", "short-precise")
	status, _ := m.Run(context.Background(), "stepaway-agent", "status")
	m.t.Logf("events at the collector:\n%s\nlog of the services:\n%s\nstatus:\n%s", told, log, status)
}

// events are all that the collector has since a boot time, in the order in which they happened.
func (m *machine) events(since time.Duration) []audit.Event {
	m.t.Helper()
	out, err := m.Command(context.Background(), "stepaway-collector", "events", "--data", data, "--json").Output()
	if err != nil {
		m.t.Fatalf("read the events at the collector: %v", err)
	}
	var list []audit.Event
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var e audit.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			m.t.Fatalf("event %s: %v", lines.Bytes(), err)
		}
		if e.BootMS >= since.Milliseconds() {
			list = append(list, e)
		}
	}
	slices.SortStableFunc(list, func(a, b audit.Event) int { return cmp.Or(cmp.Compare(a.BootMS, b.BootMS), cmp.Compare(a.N, b.N)) })
	return list
}

// match says whether an event is the one that is looked for.
type match func(audit.Event) bool

// is matches a type, and facts given as "proof=locker".
func is(t audit.Type, facts ...string) match {
	return func(e audit.Event) bool {
		if e.Type != t {
			return false
		}
		for _, f := range facts {
			if key, want, _ := strings.Cut(f, "="); fact(e, key) != want {
				return false
			}
		}
		return true
	}
}

// fact is one of an event's facts by its name in the record.
func fact(e audit.Event, key string) string {
	b, _ := json.Marshal(e.Facts)
	var all map[string]any
	_ = json.Unmarshal(b, &all)
	for k, v := range map[string]any{"reason": string(e.Reason), "outcome": string(e.Outcome), "severity": string(e.Severity)} {
		if key == k {
			return fmt.Sprint(v)
		}
	}
	if e.Session != nil {
		switch key {
		case "session":
			return string(e.Session.ID)
		case "user":
			return string(e.Session.User)
		case "kind":
			return string(e.Session.Kind)
		}
	}
	if v := all[key]; v != nil {
		return fmt.Sprint(v)
	}
	return ""
}

// step tells, with -v, how far a test is.
func (m *machine) step(what string) {
	m.t.Helper()
	m.t.Logf("%6.1f s  %s", time.Since(m.began).Seconds(), what)
}

// await waits until the collector has an event since a boot time that matches, and returns the first.
func (m *machine) await(since time.Duration, t audit.Type, facts ...string) audit.Event {
	m.t.Helper()
	var found audit.Event
	m.patiently(fmt.Sprint(t, facts, " at the collector"), func() bool {
		list := m.events(since)
		i := slices.IndexFunc(list, is(t, facts...))
		if i >= 0 {
			found = list[i]
		}
		return i >= 0
	})
	return found
}

// patiently is WaitFor for what is dear to look at.
func (m *machine) patiently(what string, cond func() bool) {
	m.t.Helper()
	for end := time.Now().Add(90 * time.Second); !cond(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			m.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// none fails the test if there is such an event since a boot time.
func (m *machine) none(since time.Duration, t audit.Type, facts ...string) {
	m.t.Helper()
	for _, e := range m.events(since) {
		if is(t, facts...)(e) {
			m.t.Errorf("unwanted %s %v at %d ms: %s", t, facts, e.BootMS, encode(e))
		}
	}
}

func encode(e audit.Event) string {
	b, _ := json.Marshal(e)
	return string(b)
}

// inOrder fails the test unless the events since a boot time have these types in this order; others may be between.
func (m *machine) inOrder(since time.Duration, want ...audit.Type) {
	m.t.Helper()
	left := want
	var got []audit.Type
	for _, e := range m.events(since) {
		got = append(got, e.Type)
		if len(left) > 0 && e.Type == left[0] {
			left = left[1:]
		}
	}
	if len(left) > 0 {
		m.t.Errorf("events %v, want %v in this order: %s is missing", got, want, left[0])
	}
}

// at is when an event happened.
func at(e audit.Event) time.Duration { return time.Duration(e.BootMS) * time.Millisecond }

// rule puts a policy in force and waits until the agent says so.
func (m *machine) rule(policy string) (since time.Duration) {
	m.t.Helper()
	since, before := clock.Now(), m.status().Policy
	m.Write(policyAt, policy, 0o644)
	m.WaitFor("the new policy", func() bool { return m.status().Policy != before })
	return since
}

// under puts a policy in force while somebody is there, and returns the last input, from which its limit counts.
func (m *machine) under(policy string) (last span) {
	m.t.Helper()
	m.touch()
	m.rule(policy)
	return m.touch()
}

// status is what the agent tells root.
func (m *machine) status() link.Status {
	m.t.Helper()
	var st link.Status
	m.WaitFor("the agent's status", func() bool {
		out, err := m.Command(context.Background(), "stepaway-agent", "status", "--json").Output()
		return err == nil && json.Unmarshal(out, &st) == nil
	})
	return st
}

// guarded is one session in the agent's status.
func (m *machine) guarded(id string) (link.SessionStatus, bool) {
	m.t.Helper()
	list := m.status().Sessions
	i := slices.IndexFunc(list, func(s link.SessionStatus) bool { return s.ID == id })
	if i < 0 {
		return link.SessionStatus{}, false
	}
	return list[i], true
}

// desktop starts one for nurse and waits until the agent sees its input.
func (m *machine) desktop(lines ...string) (id string) {
	m.t.Helper()
	id = m.Desktop("nurse", lines...)
	m.patiently("input of session "+id, func() bool { s, _ := m.guarded(id); return s.Readable })
	return id
}

// phase waits until the agent has a session in a phase.
func (m *machine) phase(id string, want link.Phase) {
	m.t.Helper()
	m.patiently("session "+id+" to be "+string(want), func() bool { s, _ := m.guarded(id); return s.State.Phase == want })
}

// xdo lets xdotool work in the desktop, where nothing but injected input can come from.
func (m *machine) xdo(args ...string) {
	m.t.Helper()
	m.Must(append([]string{"runuser", "-u", m.x.user, "--", "env", "DISPLAY=" + m.x.display,
		"XAUTHORITY=/home/" + m.x.user + "/.Xauthority", "xdotool"}, args...)...)
}

// span is a time in which something was done.
type span struct{ from, to time.Duration }

// touch is input in the desktop.
func (m *machine) touch() span {
	m.t.Helper()
	from := clock.Now()
	switch m.x.display {
	case inGnome:
		m.TypeInGnome(m.x.user)
	case inSway:
		m.InWayland(m.x.user, "wtype", "-k", "Shift_L")
	default:
		m.xdo("key", "Shift_L")
	}
	return span{from, clock.Now()}
}

// say types a line.
func (m *machine) say(line string) {
	m.t.Helper()
	if m.x.display == inSway {
		m.InWayland(m.x.user, "wtype", "-d", "20", line, "-k", "Return")
		return
	}
	m.xdo("type", "--delay", "40", line)
	m.xdo("key", "Return")
}

// unlock types the right password until the agent sees the return.
func (m *machine) unlock(id string) audit.Event {
	m.t.Helper()
	since := clock.Now()
	m.patiently("the desktop to be open", func() bool {
		m.say(m.x.user)
		for range 12 {
			if s, _ := m.guarded(id); s.State.Phase == link.Active || s.State.Phase == link.Warned {
				return true
			}
			time.Sleep(250 * time.Millisecond)
		}
		return false
	})
	return m.await(since, audit.UnlockSeen, "session="+id)
}

// onTime waits for the request to secure a session whose last input was given in the span, and checks when it came.
func (m *machine) onTime(last span, limit time.Duration, t audit.Type, facts ...string) audit.Event {
	m.t.Helper()
	e := m.await(last.to, t, facts...)
	if early, late := last.from+limit-scheduler-at(e), at(e)-last.to-limit-promptly; early > 0 || late > 0 {
		m.t.Errorf("%s came %v after the last input, want %v: %s", t, at(e)-last.from, limit, encode(e))
	}
	if ms := e.Facts.LateMS; ms == nil || *ms > promptly.Milliseconds() {
		m.t.Errorf("%s is late: %s", t, encode(e))
	}
	return e
}

// pid of a unit's main process.
func (m *machine) pid(unit string) string {
	m.t.Helper()
	return m.Must("systemctl", "show", "-P", "MainPID", unit)
}

// signal sends a signal to a unit's main process.
func (m *machine) signal(unit, sig string) {
	m.t.Helper()
	m.Must("systemctl", "kill", "--kill-who=main", "-s", sig, unit)
}

// kill kills a unit's main process and waits until systemd has started another.
func (m *machine) kill(unit string) {
	m.t.Helper()
	was := m.pid(unit)
	m.signal(unit, "KILL")
	m.WaitFor(unit+" to be back", func() bool {
		now := m.pid(unit)
		return now != "0" && now != was && m.Must("systemctl", "show", "-P", "ActiveState", unit) == "active"
	})
}

// find returns the pids of a user's processes that run an executable.
func (m *machine) find(user, exe string) []string {
	m.t.Helper()
	out, _ := m.Run(context.Background(), "sh", "-c",
		"for p in $(pgrep -u "+user+"); do [ \"$(readlink /proc/$p/exe)\" = "+exe+" ] && echo $p; done; true")
	return strings.Fields(out)
}

// verified checks every chain at the collector.
func (m *machine) verified() {
	m.t.Helper()
	if out, err := m.Run(context.Background(), "stepaway-collector", "verify", "--data", data); err != nil {
		m.t.Errorf("the collector's chains: %s", out)
	}
}

// delivered waits until the collector has everything that the agent has said.
func (m *machine) delivered() {
	m.t.Helper()
	m.patiently("all events at the collector", func() bool {
		st := m.status()
		return st.Waiting == 0 && st.Courier != nil && st.Courier.Head == st.Courier.Acked
	})
}
