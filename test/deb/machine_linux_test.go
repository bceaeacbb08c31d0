package deb

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/link"
	"stepaway/test/rig"
)

const (
	agent   = "stepaway.service"
	courier = "stepaway-courier.service"
	data    = "/var/lib/stepaway-collector"
	site    = "/etc/stepaway/policy.d/site.yaml" // beside the package's conffile, so it can be there before
)

// machine is a workstation to which the packages were copied.
type machine struct {
	*rig.Container
	t *testing.T
}

func boot(t *testing.T) *machine {
	t.Helper()
	d := packages(t)
	m := &machine{rig.Boot(t), t}
	for _, dir := range []string{d.older, d.newer} {
		debs, err := filepath.Glob(dir + "/*.deb")
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range debs {
			m.Copy(path, "/srv/"+filepath.Base(path))
		}
	}
	m.Must("chmod", "755", "/srv")
	m.Write(site, "limit: 10s\nwarning: 3s\nlock: {fallback: [/usr/bin/i3lock, -n]}\n", 0o644)
	t.Cleanup(m.report)
	return m
}

func (m *machine) report() {
	if m.t.Failed() {
		log, _ := m.Run(context.Background(), "journalctl", "-q", "--no-pager", "-u", "stepaway*", "-n", "80", "-o", "short-precise")
		m.t.Logf("log of the services:\n%s", log)
	}
}

func file(name, version string) string { return "/srv/" + name + "_" + version + "_amd64.deb" }

// apt installs as an administrator does who has no terminal, from files alone.
func (m *machine) apt(args ...string) (string, error) {
	return m.Run(m.t.Context(), append([]string{"env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-y", "-o", "Dpkg::Options::=--force-unsafe-io",
		"--no-install-recommends"}, args...)...)
}

func (m *machine) install(name, version string, flags ...string) {
	m.t.Helper()
	began := time.Now()
	if out, err := m.apt(append(append([]string{"install"}, flags...), file(name, version))...); err != nil {
		m.t.Fatalf("install %s %s: %v\n%s", name, version, err, out)
	}
	m.t.Logf("%s %s installed in %.1f s", name, version, time.Since(began).Seconds())
}

func (m *machine) show(unit, property string) string {
	m.t.Helper()
	return m.Must("systemctl", "show", "-P", property, unit)
}

// guarded fails the test unless both services and the link are up.
func (m *machine) guarded() {
	m.t.Helper()
	for _, u := range []string{"stepaway.socket", agent, courier, "stepaway-enroll.path"} {
		if state := m.show(u, "ActiveState"); state != "active" {
			m.t.Fatalf("%s is %s", u, state)
		}
		if state := m.show(u, "UnitFileState"); state != "enabled" {
			m.t.Errorf("%s is %s", u, state)
		}
	}
}

// locker is the pid of nurse's locker, or "".
func (m *machine) locker() string {
	out, _ := m.Run(m.t.Context(), "pgrep", "-u", "nurse", "-x", "i3lock")
	return strings.TrimSpace(out)
}

// locked starts a desktop and waits until it is locked; it returns the session and the locker.
func (m *machine) locked() (id, locker string) {
	m.t.Helper()
	id = m.Desktop("nurse", rig.ObeysLock)
	m.WaitFor("the lock of session "+id, func() bool {
		st, err := m.status(5 * time.Second)
		return err == nil && len(st.Sessions) == 1 && st.Sessions[0].State.Phase == link.Secured
	})
	if locker = m.locker(); locker == "" {
		m.t.Fatal("secured without a locker")
	}
	return id, locker
}

// status asks the agent in the container by its socket.
func (m *machine) status(within time.Duration) (link.Status, error) {
	c, err := link.Open(m.Path("/run/stepaway/link.sock"), link.Hello{Role: link.RoleStatus})
	if err != nil {
		return link.Status{}, err
	}
	defer c.Close()
	defer time.AfterFunc(within, func() { c.Close() }).Stop()
	if err := c.Say(link.Message{Ask: &link.Ask{}}); err != nil {
		return link.Status{}, err
	}
	for {
		msg, err := c.Hear()
		if err != nil {
			return link.Status{}, err
		}
		if msg.Status != nil {
			return *msg.Status, nil
		}
	}
}

// events are those that the collector of the same machine has.
func (m *machine) events() []audit.Event {
	m.t.Helper()
	out, err := m.Command(m.t.Context(), "runuser", "-u", "stepaway-collector", "--", "stepaway-collector", "events", "--data", data, "--json").Output()
	if err != nil {
		m.t.Fatalf("read the events at the collector: %v", err)
	}
	var list []audit.Event
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var e audit.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			m.t.Fatalf("event %s: %v", lines.Bytes(), err)
		}
		list = append(list, e)
	}
	return list
}

// last is the latest event of a type at the collector, later than a boot time.
func (m *machine) last(t audit.Type, after time.Duration) (found audit.Event, ok bool) {
	for _, e := range m.events() {
		if e.Type == t && at(e) > max(after, at(found)) {
			found, ok = e, true
		}
	}
	return found, ok
}

func at(e audit.Event) time.Duration { return time.Duration(e.BootMS) * time.Millisecond }

// await waits for such an event at the collector.
func (m *machine) await(t audit.Type, after time.Duration) (found audit.Event) {
	m.t.Helper()
	m.WaitFor(string(t)+" at the collector", func() (ok bool) { found, ok = m.last(t, after); return ok })
	return found
}

func (m *machine) gone(paths ...string) {
	m.t.Helper()
	for _, p := range paths {
		if _, err := m.Run(m.t.Context(), "test", "-e", p); err == nil {
			m.t.Errorf("%s is still there", p)
		}
	}
}
